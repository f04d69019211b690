"""`python -m bench.reloads`: what reloads of a 1,000-backend listener under full load cost its packets.

Windows with reloads one after the other and windows without take turns in one process. A library in front of the forwarder
(latency_probe.c) counts how long packets are under way and how long the ports wait for the worker.
"""

import argparse
import itertools
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.hugepages import HugepagesMissingError, free_hugepages
from bench.measure import mbufs_for, memory_for
from bench.process import BenchError
from bench.scenario import Services, captures, listener_json, write_config
from bench.subjects import Counters, Subject, control_request, port_devices, running_forwarder

CHECKOUT = Path(__file__).resolve().parents[4]
PROBE = Path(__file__).with_name("latency_probe.c")
BIG = Services(backends=1_000)
FLOWS = 60_000
# Layout of struct latency_file: the frequency, then the two histograms.
BUCKETS_OF_OCTAVE, BUCKETS = 32, 1_280
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
WARM_UP_TIMEOUT_S = 30


def least_cycles(bucket: int) -> int:
    """Return the first number of cycles that a bucket counts."""
    octave = max(0, bucket // BUCKETS_OF_OCTAVE - 1)
    return (bucket - octave * BUCKETS_OF_OCTAVE) << octave


@dataclass
class Histogram:
    """Counts by bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, before: Sequence[int], after: Sequence[int]) -> None:
        """Add what came between two looks."""
        self.counts = [
            sum(one) - less for one, less in zip(zip(self.counts, after, strict=True), before, strict=True)
        ]

    def cycles_at(self, share: float) -> int:
        """Return the cycles that this share of the counts does not exceed, to the width of a bucket."""
        limit = share * sum(self.counts)
        sums = itertools.accumulate(self.counts)
        return least_cycles(next((n for n, total in enumerate(sums) if total >= limit), 0) + 1)

    def largest(self) -> int:
        return least_cycles(max((n for n, count in enumerate(self.counts) if count), default=0) + 1)


@dataclass
class Times:
    """What the probe counted in one kind of window."""

    under_way: Histogram = field(default_factory=Histogram)
    waits: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True)
class Look:
    """The probe's file at one moment."""

    tsc_hz: int
    under_way: Sequence[int]
    waits: Sequence[int]


def look(path: Path) -> Look:
    values = array("Q", path.read_bytes())
    return Look(values[0], values[1 : 1 + BUCKETS], values[1 + BUCKETS : 1 + 2 * BUCKETS])


def built_probe(work: Path) -> Path:
    """Compile the library.

    Raises:
        BenchError: the compiler refuses; its output is in the log beside.
    """
    library, log = work / "latency_probe.so", work / "latency_probe.log"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "libdpdk"], capture_output=True, text=True, check=True
    ).stdout
    command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", *shlex.split(flags), str(PROBE)]
    run = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
    if run.returncode:
        log.write_text(run.stderr)
        raise BenchError(f"{PROBE.name} cannot be compiled: {run.stderr[-1000:]}")
    return library


def generations() -> Iterator[dict[str, Any]]:
    """Yield the listener again and again, each time with other weights."""
    for number in itertools.count(1):
        listener = listener_json(BIG, 0)
        for place, backend in enumerate(listener["backends"]):
            backend["weight"] = 1 + (place + number) % 7
        yield listener | {"generation": f"{number:016x}"}


def reload(config: Path, control: Path, listener: dict[str, Any]) -> None:
    """Write the next generation as the agent does, and have it loaded."""
    path = config / "listeners" / f"{listener['name']}.json"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(listener))
    unfinished.rename(path)
    if control_request(control, {"command": "load", "listeners": [listener["name"]]}) is None:
        raise BenchError("the forwarder has ended")


def connections(control: Path) -> int:
    reply = control_request(control, {"command": "stats"}) or {}
    return sum(one["connections"] for one in reply["listeners"].values())


def warm(subject: Subject, frames: int) -> Counters:
    """Wait until every flow exists.

    Raises:
        BenchError: that takes too long.
    """
    deadline = time.monotonic() + WARM_UP_TIMEOUT_S
    while subject.counters().received < 3 * frames:
        if time.monotonic() > deadline:
            raise BenchError(f"three laps of {frames} frames take over {WARM_UP_TIMEOUT_S} s")
        time.sleep(0.05)
    return subject.counters()


@dataclass(frozen=True)
class Result:
    """Both kinds of windows."""

    quiet: Times
    reloading: Times
    reloads: int
    packets: int
    tsc_hz: int

    def line(self, what: str, quiet: Histogram, reloading: Histogram) -> str:
        """Return one histogram beside the other, in microseconds."""

        def text(histogram: Histogram) -> str:
            cycles = {name: histogram.cycles_at(share) for name, share in SHARES.items()}
            cycles["max"] = histogram.largest()
            return ", ".join(f"{name} {value * 1e6 / self.tsc_hz:.1f}" for name, value in cycles.items())

        return f"{what}, us: without reloads {text(quiet)}; with {text(reloading)}"

    def text(self) -> str:
        return (
            f"{self.reloads} reloads of {BIG.backends:,} backends, {self.packets:,} packets, none lost, no flow moved\n"
            + self.line("packets under way", self.quiet.under_way, self.reloading.under_way)
            + "\n"
            + self.line("port waits for the worker", self.quiet.waits, self.reloading.waits)
        )


def check_none_lost(before: Counters, after: Counters, frames: int) -> None:
    """Refuse a run in which a packet was dropped, also one whose flow is with another backend now: its reply fits no flow.

    Raises:
        BenchError: there was one.
    """
    lost = {name: n - before.drops[name] for name, n in after.drops.items() if n > before.drops[name]}
    received, sent = after.received - before.received, after.forwarded - before.forwarded
    # The answers to ARP are received only; packets may be in work at either look.
    if lost or received - sent > 2 * (received / frames + 1) + 64:
        raise BenchError(f"{received} packets in, {sent} out, dropped: {lost}")


def measured(options: argparse.Namespace, work: Path) -> Result:
    """Run the windows.

    Raises:
        BenchError: packets were lost, flows made or moved, or a program failed.
        HugepagesMissingError: memory is short.
    """
    files = captures(options.pcap_shell, options.flows, work, BIG)
    mbufs, config = mbufs_for(files.frames), work / "config"
    write_config(config, options.flows, port_devices(files.paths), BIG)
    counts, control, library = work / "latency", work / "control.sock", built_probe(work)
    environment = {"LD_PRELOAD": str(library), "SKYLANE_LATENCY_FILE": str(counts)}
    quiet, reloading, next_generation = Times(), Times(), generations()
    reloads = 0
    with (
        free_hugepages(memory_for(files.frames, options.flows)),
        running_forwarder(options.forwarder, config, mbufs, work, environment=environment) as subject,
    ):
        before, made = warm(subject, files.frames), connections(control)
        for window in range(2 * options.rounds):
            times = reloading if window % 2 else quiet
            began, end = look(counts), time.monotonic() + options.window_s
            while window % 2 and time.monotonic() < end:
                reload(config, control, next(next_generation))
                reloads += 1
            time.sleep(max(0.0, end - time.monotonic()))
            ended = look(counts)
            times.under_way.add(began.under_way, ended.under_way)
            times.waits.add(began.waits, ended.waits)
        after = subject.counters()
        check_none_lost(before, after, files.frames)
        if connections(control) != made:
            raise BenchError(f"{connections(control) - made} flows were made during the windows")
    return Result(quiet, reloading, reloads, after.received - before.received, ended.tsc_hz)


def main() -> int:
    """Measure and print; 1 when a packet was lost or a flow moved."""
    parser = argparse.ArgumentParser(prog="python -m bench.reloads", description=__doc__)
    parser.add_argument("--flows", type=int, default=FLOWS)
    parser.add_argument("--rounds", type=int, default=10, help="windows of each kind")
    parser.add_argument("--window-s", type=float, default=1.0)
    parser.add_argument("--forwarder", type=Path, default=CHECKOUT / "build/fwd/dpdk/skylane-fwd")
    parser.add_argument("--pcap-shell", type=Path, default=CHECKOUT / "build/fwd/pcap/skylane-fwd-pcap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skylane-bench-") as work:
        try:
            print(measured(options, Path(work)).text())
        except (BenchError, HugepagesMissingError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
