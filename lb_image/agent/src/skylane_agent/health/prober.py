"""Probes every target again and again, each at its own moment, so many at a time at most."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from skylane_agent.health.check import Target
from skylane_agent.health.probes import outcome_of
from skylane_agent.health.verdict import Outcome, Verdict, judged, sick_because

log = logging.getLogger(__name__)

# Of sockets, too: the soft limit of files is often 1,024. A silent backend holds its place for the whole timeout.
CONCURRENT_MAX = 512
_JITTER = 0.1  # of the interval, either way

Probe = Callable[[Target], Awaitable[Outcome]]


class Prober:
    """One task a target, which mostly sleeps. `changed` is told the target whose verdict has become another."""

    def __init__(
        self, changed: Callable[[Target], None], chance: random.Random, probe: Probe = outcome_of
    ) -> None:
        self._changed = changed
        self._chance = chance
        self._probe = probe
        self._room = asyncio.Semaphore(CONCURRENT_MAX)
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._verdicts: dict[Target, Verdict] = {}
        self._failed: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        self.outcomes: Counter[str] = Counter()  # by kind, since the start

    def __len__(self) -> int:
        """Targets that are probed."""
        return len(self._tasks)

    def watch(self, target: Target, sick_reason: str | None) -> None:
        """Probe a target from now on; with a reason, it was sick when last heard of."""
        self._verdicts[target] = sick_because(sick_reason)
        task = asyncio.create_task(self._follow(target), name=f"health of {target.endpoint}")
        task.add_done_callback(self._ended)
        self._tasks[target] = task

    def unwatch(self, target: Target) -> None:
        """Probe it no more, and forget it."""
        self._tasks.pop(target).cancel()
        del self._verdicts[target]

    def verdict(self, target: Target) -> Verdict:
        """What is believed of a target that is probed."""
        return self._verdicts[target]

    async def run(self) -> None:
        """Until cancelled; then no target is probed any more. Raises what a probe raised that it should not have."""
        try:
            (await self._failed.get()).result()
        finally:
            for target in list(self._tasks):
                self.unwatch(target)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._failed.put_nowait(task)

    async def _follow(self, target: Target) -> None:
        interval_s = target.check.interval_ms / 1000
        # All at once they would meet the backends, and us, in bursts for ever.
        await asyncio.sleep(interval_s * self._chance.random())
        clock = asyncio.get_running_loop().time
        while True:
            started_s = clock()
            async with self._room:
                outcome = await self._probe(target)
            self._take(target, outcome)
            pause_s = interval_s * self._chance.uniform(1 - _JITTER, 1 + _JITTER)
            await asyncio.sleep(max(0.0, started_s + pause_s - clock()))

    def _take(self, target: Target, outcome: Outcome) -> None:
        self.outcomes[outcome.kind] += 1
        before = self._verdicts[target]
        after = self._verdicts[target] = judged(before, outcome, target.check)
        if after.healthy != before.healthy:
            log.info("%s %s", target.endpoint, "is healthy" if after.healthy else f"is sick: {after.reason}")
        if (after.healthy, after.obstacle) != (before.healthy, before.obstacle):
            self._changed(target)
