"""Joins listeners and probes: who is probed for whom, and who therefore gets no new flows."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skylane_agent.health.check import Endpoint, Target
from skylane_agent.health.checked import Checked, Sick
from skylane_agent.health.prober import Prober
from skylane_agent.local import LocalState
from skylane_agent.waiting import Marked, first_of

log = logging.getLogger(__name__)

_RETRY_S = 1.0  # after a file could not be written


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of one listener's backends. `sick` are in the operator's order, with their reasons."""

    backends: int
    sick: Sequence[tuple[Endpoint, str]]
    panic: bool
    obstacle: str


class Monitor:
    """Keeps the weights in `local` true to the verdicts. `marked` holds the listeners that have to be looked at."""

    def __init__(self, local: LocalState, marked: Marked, chance: random.Random) -> None:
        self._local, self._marked = local, marked
        self.prober = Prober(self._verdict_changed, chance)
        self._generations: dict[str, str] = {}  # of the listeners whose targets are probed
        self._targets: dict[str, set[Target]] = {}
        self._users: dict[Target, set[str]] = {}
        self.reports: Mapping[str, Report] = {}
        self.changed = asyncio.Event()  # `reports` has become another; who tells of it clears it

    async def run(self) -> None:
        """Until cancelled."""
        await first_of(self.prober.run(), self._follow())

    def _verdict_changed(self, target: Target) -> None:
        self._marked.add(self._users[target])

    async def _follow(self) -> None:
        while True:
            names = await self._marked.take()
            for name in names:
                self._retarget(name, self._local.checked.get(name))
            sick = {name: self._sick(one) for name, one in self._local.checked.items() if name in names}
            news = {name: who for name, who in sick.items() if who != self._local.checked[name].sick}
            if news and not await self._local.mark(news):
                asyncio.get_running_loop().call_later(_RETRY_S, self._marked.add, set(news))
            self._report(names)

    def _retarget(self, name: str, checked: Checked | None) -> None:
        """Probe what the listener needs, and no more what no listener needs any longer."""
        if checked is not None and self._generations.get(name) == checked.generation:
            return
        before = self._targets.pop(name, set())
        endpoints = {checked.target(one): one for one in checked.endpoints} if checked else {}
        for target in endpoints.keys() - before:
            if target not in self._users:
                self._users[target] = set()
                self.prober.watch(target, checked.sick.get(endpoints[target]) if checked else None)
            self._users[target].add(name)
        for target in before - endpoints.keys():
            self._users[target].discard(name)
            if not self._users[target]:
                del self._users[target]
                self.prober.unwatch(target)
        self._generations.pop(name, None)
        if checked is not None:
            self._generations[name], self._targets[name] = checked.generation, set(endpoints)

    def _sick(self, checked: Checked) -> Sick:
        verdicts = ((one, self.prober.verdict(checked.target(one))) for one in checked.endpoints)
        return {one: verdict.reason for one, verdict in verdicts if not verdict.healthy}

    def _report(self, names: set[str]) -> None:
        checked = self._local.checked
        reports = {name: report for name, report in self.reports.items() if name not in names}
        reports |= {name: self._report_of(checked[name]) for name in names if name in checked}
        if reports != self.reports:
            self.reports = reports
            self.changed.set()

    def _report_of(self, checked: Checked) -> Report:
        """Of what is in force, which is what is on disk; some of its targets may not be probed yet."""
        endpoints = checked.endpoints
        targets = {checked.target(endpoint) for endpoint in endpoints} & self._users.keys()
        return Report(
            backends=len(endpoints),
            sick=[(one, checked.sick[one]) for one in endpoints if one in checked.sick],
            panic=checked.panic,
            obstacle=min(
                (self.prober.verdict(target).obstacle for target in targets), default="", key=_empty_last
            ),
        )


def _empty_last(text: str) -> tuple[bool, str]:
    return (not text, text)
