"""Waiting: for the first of several tasks, and between attempts."""

import asyncio
import random
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

_GROWTH = 2.0


class Marked:
    """Names that something is to be done for, merged until they are taken. One taker."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._some = asyncio.Event()

    def add(self, names: Iterable[str]) -> None:
        """Mark names; one that is marked already stays so."""
        self._names.update(names)
        if self._names:
            self._some.set()

    async def take(self) -> set[str]:
        """All that are marked, at least one; none is marked afterwards."""
        await self._some.wait()
        self._some.clear()
        names, self._names = self._names, set()
        return names


async def first_of(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run all until the first ends, cancel and await the others; raises what the first raised."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


def delays(first_s: float, longest_s: float, chance: random.Random) -> Iterator[float]:
    """Seconds to wait before the second, third, … attempt; never ends.

    They double up to `longest_s`, and each is spread over its upper half, so that the agents of a restarted
    operator do not come back at one instant.
    """
    delay_s = first_s
    while True:
        yield delay_s * (0.5 + 0.5 * chance.random())
        delay_s = min(delay_s * _GROWTH, longest_s)
