"""Several coroutines that only make sense together, and those that must not be held up by any other."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until all have ended or one fails; then cancel and await the others, and raise what it raised, unwrapped."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class LoopThread:
    """An event loop in a thread of its own: what runs there goes on while something computes here."""

    def __init__(self, name: str) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._runner.close)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Run it there; the future is one of ours, and to cancel it cancels the coroutine soon after."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))
