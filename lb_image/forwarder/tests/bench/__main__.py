"""`make bench`: on-CPU nanoseconds per packet of one worker beside `testpmd io` on the same ports.

Method and results: docs/design/bench.md.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from bench.connections import CONNECTIONS, SEGMENTS, connection_captures, write_connections_config
from bench.hugepages import HugepagesMissingError, free_hugepages
from bench.measure import Row, Start, Window, mbufs_for, memory_for, named, rounds, row
from bench.process import BenchError
from bench.scaling import FLOWS_OF_WORKER, scaling_rows, summary
from bench.scenario import ONE_SERVICE, ONE_SERVICE_IPV6, Captures, Services, captures, write_config
from bench.subjects import port_devices, running_forwarder, running_testpmd

CHECKOUT = Path(__file__).resolve().parents[4]
CASE = "fullnat-udp4"
CASE_IPV6 = "fullnat6-udp"
CONNECTIONS_CASE = "tcp4-connections"
MANY_SERVICES = Services(1_000, 100)
FLOWS = (1, 1_024, 60_000, 1_000_000)
FLOWS_IPV6 = (1_024, 60_000)
QUICK_FLOWS = (1, 1_024)


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    flows: int
    services: Services = ONE_SERVICE
    connections: bool = False

    def captures(self, pcap_shell: Path | None, work: Path) -> Captures:
        """Write the input files."""
        if self.connections and pcap_shell is not None:
            return connection_captures(pcap_shell, work)
        return captures(pcap_shell, self.flows, work, self.services)

    def config(self, folder: Path, devices: tuple[str, ...]) -> Path:
        """Write the configuration folder."""
        if self.connections:
            return write_connections_config(folder, devices[0])
        return write_config(folder, self.flows, devices, self.services)


def ipv6_case(flows: int) -> Case:
    """Return the UDP case of IPv6."""
    return Case(CASE_IPV6, flows, ONE_SERVICE_IPV6)


def cases(flows: list[int] | None, *, few: bool, both: bool) -> list[Case]:
    """Return the rows to measure: the UDP case with these flows, of `both` families if wanted, or all cases."""
    if flows is not None or few:
        counts = flows or QUICK_FLOWS
        return [case for count in counts for case in (Case(CASE, count), ipv6_case(count))[: 1 + both]]
    return [
        *(Case(CASE, count) for count in FLOWS),
        *(ipv6_case(count) for count in FLOWS_IPV6),
        Case(f"{CASE}-1000x100", 60_000, MANY_SERVICES),
        Case(CONNECTIONS_CASE, CONNECTIONS, connections=True),
    ]


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--flows", type=int, nargs="+", help=f"default: {FLOWS}")
    parser.add_argument("--both", action="store_true", help="with --flows or --quick: IPv6 beside IPv4")
    parser.add_argument("--rounds", type=int, help="default: 5, at least 1")
    parser.add_argument("--quick", action="store_true", help="one short round of few flows: a smoke test")
    parser.add_argument("--forwarder", type=Path, default=CHECKOUT / "build/fwd/dpdk/skylane-fwd")
    parser.add_argument("--pcap-shell", type=Path, default=CHECKOUT / "build/fwd/pcap/skylane-fwd-pcap")
    parser.add_argument("--json", type=Path, default=CHECKOUT / "build/bench.json")
    parser.add_argument(
        "--baseline-only",
        action="store_true",
        help="check the harness: testpmd macswap stands for the forwarder",
    )
    options = parser.parse_args(arguments)
    options.cases = cases(options.flows, few=options.quick or options.baseline_only, both=options.both)
    options.all = options.flows is None and not options.quick and not options.baseline_only
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


def measured_row(options: argparse.Namespace, case: Case, work: Path) -> Row:
    """Measure one case."""
    window = Window(0.2, 0.3) if options.quick else Window(0.5, 1.0)
    files = case.captures(None if options.baseline_only else options.pcap_shell, work)
    mbufs, devices = mbufs_for(files.frames), port_devices(files.paths)
    config = case.config(work / "config", devices)
    subjects: dict[str, Start] = {"testpmd io": lambda: running_testpmd(devices, mbufs, work)}
    if options.baseline_only:
        subjects["testpmd macswap"] = lambda: running_testpmd(devices, mbufs, work, mode="macswap")
    else:
        subjects["skylane-fwd"] = lambda: running_forwarder(options.forwarder, config, mbufs, work)
    with free_hugepages(memory_for(files.frames, case.flows)):
        baseline, measured = rounds(subjects, options.rounds, window, files.frames).values()
    for path in files.paths:
        path.unlink()
    return row("macswap" if options.baseline_only else case.name, case.flows, measured, baseline)


def table(rows: list[Row]) -> str:
    """Return the rows as the table that people read."""
    lines = [f"{'case':22} {'flows':>9} {'ns min':>8} {'ns median':>10} {'testpmd io':>11} {'ratio':>6}"]
    lines += [
        f"{row.case:22} {row.flows:>9,} {row.ns_min:>8.1f} {row.ns_median:>10.1f} "
        f"{row.baseline_ns_min:>11.1f} {row.ns_min / row.baseline_ns_min:>6.2f}"
        for row in rows
    ]
    lines += [
        f"{row.case}: {1e9 / (len(SEGMENTS) * row.ns_min):,.0f} connections a second"
        for row in rows
        if row.case == CONNECTIONS_CASE
    ]
    return "\n".join(lines)


def on_terminate(_signal: int, _frame: FrameType | None) -> None:
    """End through the clean-up: the programs are stopped and the hugepages given back."""
    raise SystemExit("bench: terminated")


def main() -> int:
    """Measure, print and write; 1 when a row is not valid."""
    options = parsed()
    signal.signal(signal.SIGTERM, on_terminate)
    rows = []
    with tempfile.TemporaryDirectory(prefix="skylane-bench-") as work:
        for case in options.cases:
            began = time.monotonic()
            try:
                with named(f"{case.name}, {case.flows} flows"):
                    rows.append(measured_row(options, case, Path(work)))
            except (BenchError, HugepagesMissingError) as error:
                print(f"bench: {error}", file=sys.stderr)
                return 1
            print(
                f"{case.name}, {case.flows:,} flows: measured in {time.monotonic() - began:.0f} s",
                file=sys.stderr,
            )
        if options.all:
            try:
                scaled = scaling_rows(options, Path(work), FLOWS_OF_WORKER)
            except (BenchError, HugepagesMissingError) as error:
                print(f"bench: {error}", file=sys.stderr)
                return 1
    print(table(rows))
    if options.all:
        print(summary(scaled))
        rows += scaled
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
