"""`python -m bench.capacity`: ten million live flows in one worker, and the memory that they take.

The pcap shell makes them: the same core, in ordinary memory, so that the process's size tells what a flow costs.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.frames import MICROSECONDS, Endpoint, client_flows, udp_frames, write_pcap
from bench.process import BenchError
from bench.scenario import EXTERNAL, INTERNAL, VIP, VIP_PORT, pcap_shell_link, write_config

CHECKOUT = Path(__file__).resolve().parents[4]
FLOWS = 10_000_000
BYTES_MAX = 128
TIMEOUT_S = 600


def run_shell(command: list[str]) -> tuple[dict[str, object], int]:
    """Return the statistics and the largest resident size, bytes. Raises BenchError."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output, errors = process.communicate(timeout=TIMEOUT_S)
    if process.returncode:
        raise BenchError(f"{command} ended with {process.returncode}: {errors[-2000:]}")
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    statistics: dict[str, object] = json.loads(output)
    return statistics, peak_kib * 1024


def measured(pcap_shell: Path, flows: int, work: Path) -> tuple[int, int, int]:
    """Return live flows, packets sent on, and the largest resident size in bytes."""
    config = write_config(work / "config", flows, ("net_null0", "net_null1"))
    sent, arp = work / "clients.pcap", work / "arp.pcap"
    pairs = client_flows(flows, Endpoint(int(VIP), VIP_PORT))
    times_us = (2 * MICROSECONDS + n // 32 for n in itertools.count())  # bursts of 32
    write_pcap(sent, udp_frames(pairs, pcap_shell_link(EXTERNAL)), times_us)
    write_pcap(arp, [INTERNAL.arp(pcap_shell_link(INTERNAL))], [MICROSECONDS])
    ports = [f"external={sent}:{os.devnull}", f"internal={arp}:{os.devnull}"]
    command = [
        str(pcap_shell),
        "--config-dir",
        str(config),
        "--port",
        ports[0],
        "--port",
        ports[1],
        "--stats",
    ]
    statistics, peak = run_shell(command)
    listeners, transmitted = statistics["listeners"], statistics["tx_packets"]
    assert isinstance(listeners, dict)
    assert isinstance(transmitted, int)
    return listeners["bench-0"]["active_flows"], transmitted, peak


def main() -> int:
    """Print one line; 1 when a flow is missing or takes more than BYTES_MAX."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--flows", type=int, default=FLOWS)
    parser.add_argument("--pcap-shell", type=Path, default=CHECKOUT / "build/fwd/pcap/skylane-fwd-pcap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skylane-bench-") as work:
        live, sent, peak = measured(options.pcap_shell, options.flows, Path(work))
    each = peak / options.flows
    print(
        f"{live:,} live flows, {sent:,} packets sent on; {peak >> 20} MiB resident, {each:.1f} bytes a flow"
    )
    return 0 if live == sent == options.flows and each <= BYTES_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
