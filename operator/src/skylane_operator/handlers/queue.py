"""Keys that need a look: events of one key merge, one key is handled by one worker at a time, failures come again later."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, TypeVar

from skylane_operator.backoff import delays
from skylane_operator.errors import SkylaneError

WORKERS = 4
# The first event of a burst is handled at once, the rest of it at most this often.
INTERVAL_S = 0.05

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)


class DirtyQueue(Generic[K]):
    """Calls `handle` for every key that was marked, after its last mark, at least once.

    `handle` may give seconds after which the key needs a look again, should nobody mark it before.
    """

    def __init__(
        self, handle: Callable[[K], Awaitable[float | None]], interval_s: float = INTERVAL_S
    ) -> None:
        self._handle, self._interval_s = handle, interval_s
        self._due: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()  # in _due
        self._timers: dict[K, asyncio.TimerHandle] = {}  # will be put there
        self._running: set[K] = set()
        self._again: set[K] = set()  # marked while it was being handled
        self._next_start: dict[K, float] = {}
        self._retries: dict[K, Iterator[float]] = {}
        self.handled = 0
        self.failed = 0

    def __len__(self) -> int:
        return len(self._queued) + len(self._timers) + len(self._again)

    def mark(self, key: K) -> None:
        """The key needs a look."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            # A timer may be that of a retry, far off: what is new is not made to wait for it.
            self._schedule(key, self._next_start.get(key, 0.0) - time.monotonic())

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"reconcile {number}")

    def _schedule(self, key: K, delay_s: float) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if delay_s > 0:
            self._timers[key] = asyncio.get_running_loop().call_later(delay_s, self._enqueue, key)
        else:
            self._enqueue(key)

    def _enqueue(self, key: K) -> None:
        self._timers.pop(key, None)
        self._queued.add(key)
        self._due.put_nowait(key)

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            self._queued.discard(key)
            self._running.add(key)
            self._next_start[key] = time.monotonic() + self._interval_s
            try:
                again_s = await self._attempt(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._schedule(key, self._next_start[key] - time.monotonic())
            elif again_s is not None:
                self._schedule(key, again_s)

    async def _attempt(self, key: K) -> float | None:
        """Seconds until the next look, after a failure or because it was asked for; None: until it is marked."""
        self.handled += 1
        try:
            again_s = await self._handle(key)
        except SkylaneError as error:
            _log.warning("%s: %s", key, error)
        except Exception:  # noqa: BLE001 - an object that trips a fault of ours must not stop the others
            _log.exception("%s: unexpected", key)
        else:
            self._retries.pop(key, None)
            return again_s
        self.failed += 1
        return next(self._retries.setdefault(key, delays()))
