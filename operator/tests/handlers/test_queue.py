import asyncio
import contextlib

from operator_support import eventually

from skylane_operator import backoff
from skylane_operator.errors import ApiUnavailableError
from skylane_operator.handlers import queue as queue_module
from skylane_operator.handlers.queue import DirtyQueue
from skylane_operator.model.key import Key

A, B = Key("ns", "a"), Key("ns", "b")


@contextlib.asynccontextmanager
async def running(queue):
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_marks_of_one_key_merge_and_none_is_lost():
    seen, gate = [], asyncio.Event()

    async def handle(key):
        seen.append(key)
        await gate.wait()

    async with running(DirtyQueue(handle, interval_s=0.001)) as queue:
        for _ in range(10):
            queue.mark(A)
        await eventually(lambda: seen, "the first look")
        for _ in range(10):
            queue.mark(A)  # while it is being looked at: once more afterwards
        gate.set()
        await eventually(lambda: len(seen) == 2 and not len(queue), "the second look")
    assert seen == [A, A]


async def test_a_key_is_never_handled_twice_at_once_and_others_go_on():
    active, most, done = {A: 0, B: 0}, {A: 0, B: 0}, []
    stuck = asyncio.Event()

    async def handle(key):
        active[key] += 1
        most[key] = max(most[key], active[key])
        if key == A:
            await stuck.wait()
        active[key] -= 1
        done.append(key)

    async with running(DirtyQueue(handle, interval_s=0.0)) as queue:
        for _ in range(5):
            queue.mark(A)
            queue.mark(B)
            await asyncio.sleep(0)
        await eventually(lambda: B in done, "the other key")
        assert A not in done
        stuck.set()
        await eventually(lambda: A in done, "the key that was stuck")
    assert most == {A: 1, B: 1}


async def test_a_burst_is_handled_at_once_and_then_at_intervals():
    starts = []

    async def handle(_key):
        starts.append(asyncio.get_running_loop().time())

    async with running(DirtyQueue(handle, interval_s=0.1)) as queue:
        marked = asyncio.get_running_loop().time()
        queue.mark(A)
        await eventually(lambda: len(starts) == 1, "the first look")
        queue.mark(A)
        await eventually(lambda: len(starts) == 2, "the second look")
    assert starts[0] - marked < 0.05
    assert starts[1] - starts[0] >= 0.099


async def test_a_fault_is_tried_again_and_a_poison_key_stops_nobody(monkeypatch):
    monkeypatch.setattr(queue_module, "delays", lambda: backoff.delays(0.01, 0.02))
    attempts = {A: 0, B: 0}

    async def handle(key):
        attempts[key] += 1
        if key == A:
            raise ApiUnavailableError("away") if attempts[A] == 1 else TypeError("a fault of ours")

    async with running(DirtyQueue(handle, interval_s=0.0)) as queue:
        queue.mark(A)
        await eventually(lambda: attempts[A] >= 3, "the poison key to be tried again")
        queue.mark(B)
        await eventually(lambda: attempts[B] == 1, "the good key")
        assert queue.failed >= 2


async def test_news_do_not_wait_for_a_retry_that_is_far_off(monkeypatch):
    monkeypatch.setattr(queue_module, "delays", lambda: backoff.delays(3600, 3600))
    attempts = []

    async def handle(_key):
        attempts.append(1)
        if len(attempts) == 1:
            raise ApiUnavailableError("away")

    async with running(DirtyQueue(handle, interval_s=0.0)) as queue:
        queue.mark(A)
        await eventually(lambda: queue.failed, "the failure")
        queue.mark(A)
        await eventually(lambda: len(attempts) == 2, "the attempt for the news")


def test_waiting_times_grow_to_their_limit():
    waits = backoff.delays(1.0, 8.0)
    times = [next(waits) for _ in range(8)]
    assert 0.7 <= times[0] <= 1.3
    assert all(5.6 <= time <= 10.4 for time in times[3:])


async def test_a_key_that_wants_it_is_looked_at_again_without_a_mark():
    seen, waits = [], [0.001, None]

    async def handle(key):
        seen.append(key)
        return waits.pop(0)

    async with running(DirtyQueue(handle, interval_s=0.0)) as queue:
        queue.mark(A)
        await eventually(lambda: len(seen) == 2 and not len(queue), "the second look")
    assert (seen, queue.failed) == ([A, A], 0)


async def test_a_mark_does_not_wait_for_the_look_that_was_asked_for():
    seen, waits = [], [3600.0, None]

    async def handle(key):
        seen.append(key)
        return waits.pop(0)

    async with running(DirtyQueue(handle, interval_s=0.0)) as queue:
        queue.mark(A)
        await eventually(lambda: len(queue) == 1 and seen, "the first look")
        queue.mark(A)
        await eventually(lambda: len(seen) == 2, "the look at once")
        assert not len(queue), "the one that was asked for is over with it"
