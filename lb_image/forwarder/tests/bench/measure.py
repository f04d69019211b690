"""On-CPU nanoseconds per forwarded packet, in interleaved rounds, each in a fresh process."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from bench.process import BenchError, on_cpu_ns, worker_threads
from bench.subjects import Subject

MAXIMUM_DROP_RATIO = 0.001
MBUF_BYTES = 2560  # 2,176 of buffer, 128 of header, the pool's header and alignment
SPARE_MBUFS = 32_768  # descriptors, caches and bursts in flight
SPARE_BYTES = 512 << 20  # EAL, rings of the ports
FLOW_BYTES = 512  # more than a flow table may take


@dataclass(frozen=True)
class Window:
    """Length of a measurement and of the warm-up before it."""

    warm_up_s: float
    length_s: float


@dataclass(frozen=True)
class Row:
    """One line of build/bench.json; times in nanoseconds per packet."""

    case: str
    flows: int
    workers: int
    ns_min: float
    ns_median: float
    baseline_ns_min: float


def mbufs_for(frames: int) -> int:
    """Return the pool size: net_pcap keeps every frame of an endless file in a buffer."""
    return frames + SPARE_MBUFS


def memory_for(frames: int, flows: int) -> int:
    """Return the bytes of hugepages that one subject needs."""
    return mbufs_for(frames) * MBUF_BYTES + flows * FLOW_BYTES + SPARE_BYTES


def ns_per_packet(subject: Subject, window: Window, laps_frames: int) -> float:
    """Return the workers' CPU time per forwarded packet within one window.

    The warm-up lasts at least until every frame of the files has been seen twice, so all flows exist.

    Raises:
        BenchError: packets were dropped, or the worker stood still.
    """
    tasks = worker_threads(subject.pid, subject.workers)
    warm = time.monotonic() + window.warm_up_s
    deadline = time.monotonic() + 30
    while time.monotonic() < warm or subject.counters().received < 2 * laps_frames:
        if time.monotonic() > deadline:
            raise BenchError(f"two laps of {laps_frames} frames take over 30 s: {subject.counters()}")
        time.sleep(0.05)
    before, cpu_before = subject.counters(), sum(map(on_cpu_ns, tasks))
    time.sleep(window.length_s)
    after, cpu_after = subject.counters(), sum(map(on_cpu_ns, tasks))
    received, forwarded = after.received - before.received, after.forwarded - before.forwarded
    drops = {
        reason: count - before.drops.get(reason, 0)
        for reason, count in after.drops.items()
        if count > before.drops.get(reason, 0)
    }
    arp_ratio = 2 * subject.workers / laps_frames
    if forwarded < received * (1 - arp_ratio - MAXIMUM_DROP_RATIO) or not forwarded:
        raise BenchError(f"{received} packets in, {forwarded} out, dropped: {drops}")
    return (cpu_after - cpu_before) / forwarded


Start = Callable[[], AbstractContextManager[Subject]]


@contextmanager
def named(what: str) -> Iterator[None]:
    """Put the name of the case before the message of an error."""
    try:
        yield
    except BenchError as error:
        raise BenchError(f"{what}: {error}") from error


def rounds(
    subjects: Mapping[str, Start], count: int, window: Window, laps_frames: int
) -> dict[str, list[float]]:
    """Measure the subjects in turn, `count` times."""
    results: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(count):
        for name, start in subjects.items():
            with named(name), start() as subject:
                results[name].append(ns_per_packet(subject, window, laps_frames))
    return results


def row(case: str, flows: int, measured: list[float], baseline: list[float], workers: int = 1) -> Row:
    """Summarise the rounds of one case."""
    return Row(
        case=case,
        flows=flows,
        workers=workers,
        ns_min=round(min(measured), 2),
        ns_median=round(statistics.median(measured), 2),
        baseline_ns_min=round(min(baseline), 2),
    )
