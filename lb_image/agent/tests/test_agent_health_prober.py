"""When probes are made, and what is told of them."""

import asyncio
import random

import pytest
from agent_backends import target
from agent_operator import DEADLINE_S, until

from skylane_agent.health.check import Endpoint
from skylane_agent.health.prober import CONCURRENT_MAX, Prober
from skylane_agent.health.verdict import PASSED, Outcome

CHANCE = random.Random(1)  # noqa: S311


def targets_of(count, **changes):
    return [
        target(Endpoint(f"10.0.{index // 250}.{index % 250}", 80), "tcp", **changes) for index in range(count)
    ]


async def test_so_many_probes_at_a_time_and_no_more():
    at_once, most = 0, 0
    targets = targets_of(3 * CONCURRENT_MAX, interval_ms=1)
    gate = asyncio.Event()

    async def probe(_target):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == CONCURRENT_MAX:
            gate.set()
        await gate.wait()
        at_once -= 1
        return PASSED

    prober = Prober(lambda _: None, CHANCE, probe)
    for one in targets:
        prober.watch(one, None)
    run = asyncio.create_task(prober.run())
    await until(lambda: prober.outcomes["passed"] > 2 * len(targets))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert most == CONCURRENT_MAX
    assert not len(prober)


async def test_first_probes_come_at_a_time_of_their_own_within_the_interval():
    """Not all at once, when a pod starts and has thousands of them."""
    first = []
    targets = targets_of(5, interval_ms=1000)

    class Falling(random.Random):
        """Later ones are to come earlier: 200 ms apart, or the order would be that of a busy machine."""

        shares = iter((0.9, 0.7, 0.5, 0.3, 0.1))

        def random(self):
            return next(self.shares, 1.0)

    async def probe(target):
        first.append(target)
        return PASSED

    prober = Prober(lambda _: None, Falling(), probe)
    for one in targets:
        prober.watch(one, None)
    run = asyncio.create_task(prober.run())
    await until(lambda: len(first) >= len(targets))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert first[: len(targets)] == targets[::-1]


async def test_a_probe_that_fails_in_an_unforeseen_way_ends_the_agent():
    async def probe(_target):
        raise RuntimeError("unforeseen")

    prober = Prober(lambda _: None, CHANCE, probe)
    prober.watch(targets_of(1, interval_ms=1)[0], None)
    with pytest.raises(RuntimeError, match="unforeseen"):
        async with asyncio.timeout(DEADLINE_S):
            await prober.run()


async def test_only_what_turns_is_told():
    told, outcomes = (
        [],
        iter([PASSED, Outcome("failed", "x"), PASSED, *[Outcome("failed", "x")] * 3, PASSED, PASSED]),
    )
    ended = asyncio.Event()

    async def probe(_target):
        outcome = next(outcomes, None)
        if outcome is None:
            ended.set()
            await asyncio.Future()
        return outcome

    prober = Prober(lambda target: told.append(prober.verdict(target).healthy), CHANCE, probe)
    prober.watch(targets_of(1, interval_ms=1)[0], None)
    run = asyncio.create_task(prober.run())
    async with asyncio.timeout(DEADLINE_S):
        await ended.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert told == [False, True]
