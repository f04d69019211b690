"""`python -m bench.scaling`: one worker against two, on ports with a queue for each.

The frames of a queue are those that RSS would bring there: of each flow both directions come to the same worker, and none is handed over.
The sources of the frames are as in the UDP case; each worker has as many flows in both runs.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.frames import Endpoint, client_flows, read_pcap, replies_to, udp_frames, write_pcap
from bench.hugepages import HugepagesMissingError, free_hugepages
from bench.measure import Row, Start, Window, mbufs_for, memory_for, rounds, row
from bench.process import BenchError
from bench.scenario import (
    EXTERNAL,
    INTERNAL,
    VIP,
    VIP_PORT,
    Services,
    base_json,
    laps,
    listener_json,
    net_pcap_link,
    pcap_shell_link,
    translated,
    write_files,
)
from bench.subjects import queue_devices, running_forwarder, running_testpmd

CHECKOUT = Path(__file__).resolve().parents[4]
CASE = "fullnat-udp4-scaling"
WORKERS = (1, 2)
FLOWS_OF_WORKER = 30_000  # no more than its share of one local address
PORTS = 65_536 - 1_024
# One backend: which of several a flow gets depends on the worker.
ONE_BACKEND = Services(backends=1)


@dataclass(frozen=True)
class Queue:
    """Input of one worker: files of the external and the internal port."""

    paths: tuple[Path, Path]
    frames: int


def write_config(folder: Path, devices: tuple[str, ...], flows: int, workers: int) -> Path:
    """Write the configuration folder; no worker may have more flows than its share of local ports."""
    base: dict[str, Any] = base_json(flows, devices) | {
        "workers": workers,
        "max_flows_per_worker": max(flows, 1_024),
    }
    return write_files(folder, base, [listener_json(ONE_BACKEND, 0)])


def queue(pcap_shell: Path, flows: int, number: int, workers: int, work: Path) -> Queue:
    """Write the input of one worker. Its local ports are the same places of its own share of all ports.

    Raises:
        BenchError: the pcap shell did not translate every flow.
    """
    pairs = list(client_flows((number + 1) * flows, Endpoint(int(VIP), VIP_PORT)))[number * flows :]
    config = write_config(work / "config-pcap", ("net_null0", "net_null1"), flows, 1)
    shell = pcap_shell_link(EXTERNAL)
    inputs = {
        EXTERNAL.name: list(udp_frames(pairs, shell)),
        INTERNAL.name: [INTERNAL.arp(pcap_shell_link(INTERNAL))],
    }
    first = replies_to(read_pcap(translated(pcap_shell, config, inputs, work)[INTERNAL.name]))
    offset = number * (PORTS // workers)
    back = [(backend, Endpoint(local.address, local.port + offset)) for backend, local in first]
    if len(back) != flows:
        raise BenchError(f"{flows} flows were sent, {len(back)} came out of the pcap shell")
    external, internal = net_pcap_link(EXTERNAL), net_pcap_link(INTERNAL)
    paths = (work / f"external-{workers}-{number}.pcap", work / f"internal-{workers}-{number}.pcap")
    count = write_pcap(paths[0], laps(list(udp_frames(pairs, external)), EXTERNAL.arp(external)))
    count += write_pcap(paths[1], laps(list(udp_frames(back, internal)), INTERNAL.arp(internal)))
    return Queue(paths, count)


def subjects_of(
    options: argparse.Namespace, flows: int, workers: int, work: Path
) -> tuple[dict[str, Start], int]:
    """Return what is measured with so many workers, and the frames of all queues."""
    queues = [queue(options.pcap_shell, flows, n, workers, work) for n in range(workers)]
    devices = queue_devices(tuple(zip(*(one.paths for one in queues), strict=True)))
    frames = sum(one.frames for one in queues)
    mbufs = mbufs_for(frames)
    config = write_config(work / f"config-{workers}", devices, flows, workers)
    return {
        f"testpmd io {workers}": lambda: running_testpmd(devices, mbufs, work, workers=workers),
        f"skylane-fwd {workers}": lambda: running_forwarder(options.forwarder, config, mbufs, work, workers),
    }, frames


def scaling_rows(options: argparse.Namespace, work: Path, flows: int) -> list[Row]:
    """Measure both programs with one worker and with two, in turn.

    Raises:
        BenchError: a run gave no true figure.
        HugepagesMissingError: memory is short.
    """
    window = Window(0.2, 0.3) if options.quick else Window(0.5, 1.0)
    subjects: dict[str, Start] = {}
    frames = 0
    for workers in WORKERS:
        more, frames = subjects_of(options, flows, workers, work)
        subjects |= more
    with free_hugepages(memory_for(frames, flows * WORKERS[-1])):
        measured = rounds(subjects, options.rounds, window, frames)
    return [row(CASE, flows, measured[f"skylane-fwd {n}"], measured[f"testpmd io {n}"], n) for n in WORKERS]


def factor(one_ns: float, two_ns: float) -> float:
    """Return how many times the packets two workers forward in the same time."""
    return 2 * one_ns / two_ns


def summary(rows: list[Row]) -> str:
    """Return what the rows say."""
    one, two = rows
    return (
        f"{CASE}: {one.ns_min:.1f} ns a packet with one worker, {two.ns_min:.1f} ns with two: "
        f"{factor(one.ns_min, two.ns_min):.2f} times the packets "
        f"(testpmd io {factor(one.baseline_ns_min, two.baseline_ns_min):.2f} times)"
    )


def main() -> int:
    """Measure and print; 1 when a run gave no true figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--flows", type=int, default=FLOWS_OF_WORKER, help="of each worker")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--forwarder", type=Path, default=CHECKOUT / "build/fwd/dpdk/skylane-fwd")
    parser.add_argument("--pcap-shell", type=Path, default=CHECKOUT / "build/fwd/pcap/skylane-fwd-pcap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skylane-bench-") as work:
        try:
            print(summary(scaling_rows(options, Path(work), options.flows)))
        except (BenchError, HugepagesMissingError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
