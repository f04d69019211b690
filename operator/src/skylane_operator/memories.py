"""What reconcilers remember of listeners that have a guard against mass removal or a slow start, and of no others.

It ends with the term: who leads next has not seen what was there before, and takes what there is for what should be.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from skylane_operator.plan.memory import NO_MEMORY, Earlier, Memory
from skylane_operator.plan.types import ListenerPlan

K = TypeVar("K", bound=Hashable)


class Memories(Generic[K]):
    """By object, and there by name of a listener."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[K, Mapping[str, Memory]] = {}

    def earlier(self, key: K) -> Earlier:
        """What a plan of the object has to know."""
        return Earlier(self._kept.get(key, {}), self._clock())

    def keep(self, key: K, listeners: Iterable[ListenerPlan]) -> float | None:
        """Remember a plan; seconds until the object needs a look again though nothing has changed, if it does."""
        planned = list(listeners)
        kept = {one.listener.name: one.memory for one in planned if one.memory != NO_MEMORY}
        if kept:
            self._kept[key] = kept
        else:
            self.forget(key)
        waits = [one.look_again_s for one in planned]
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def forget(self, key: K) -> None:
        """The object is gone, or served no longer: what comes later under its name begins anew."""
        self._kept.pop(key, None)
