"""Regression gate: instructions per packet of the core, counted by callgrind over fixed input.

A count grows by more than 2 % only with its reason: run with `--accept`, which rewrites callgrind.json, and
give the reason in the commit. Counts of different compilers do not compare, so the file names the one it was
made with.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.frames import MICROSECONDS, write_pcap
from bench.process import BenchError
from bench.scenario import (
    EXTERNAL,
    INTERNAL,
    ONE_SERVICE,
    ONE_SERVICE_IPV6,
    Services,
    client_frames,
    pcap_shell_link,
    reply_flows,
    write_config,
)

CHECKOUT = Path(__file__).resolve().parents[4]
SOURCE = CHECKOUT / "lb_image/forwarder"
ACCEPTED = Path(__file__).parent / "callgrind.json"
GROWTH_LIMIT = 0.02
FLOWS = 1_024
BURST = 32
TOOL_TIMEOUT_S = 300
# Everything a packet costs in the core, and nothing of the shell's file I/O.
COUNTED_FUNCTION = "worker_process"


@dataclass(frozen=True)
class Accepted:
    """Content of callgrind.json: instructions per packet by case."""

    compiler: str
    instructions: dict[str, float]


def output_of(*command: str) -> str:
    """Run a tool and return what it prints.

    Raises:
        BenchError: it fails; the message has the end of its output.
    """
    run = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
    if run.returncode:
        raise BenchError(
            f"{' '.join(command)} ended with {run.returncode}:\n{(run.stdout + run.stderr)[-2000:]}"
        )
    return run.stdout + run.stderr


def compiler() -> str:
    """Return the C compiler's own name and version."""
    return output_of(os.environ.get("CC", "cc"), "--version").splitlines()[0]


def built_pcap_shell() -> Path:
    """Build the pcap shell for the default architecture: valgrind does not know every newer instruction."""
    build = CHECKOUT / "build/callgrind"
    if not (build / "build.ninja").exists():
        output_of("meson", "setup", "--buildtype=release", str(build), str(SOURCE))
    output_of("meson", "compile", "-C", str(build), "-j2", "skylane-fwd-pcap")
    return next(path for path in build.rglob("skylane-fwd-pcap") if path.is_file())


def bursts(path: Path, frames: list[bytes], first_us: int) -> None:
    """Write a capture in which each burst of frames has one time; ports take turns burst by burst."""
    write_pcap(path, frames, times_us=(first_us + 2 * (index // BURST) for index in range(len(frames))))


def counted(pcap_shell: Path, services: Services, sent: list[bytes], replies: list[bytes], work: Path) -> int:
    """Return the instructions that the core executes for these frames."""
    external, internal, profile = work / "external.pcap", work / "internal.pcap", work / "callgrind.out"
    bursts(external, [services.next_hop(EXTERNAL, pcap_shell_link(EXTERNAL)), *sent], MICROSECONDS)
    bursts(internal, [services.next_hop(INTERNAL, pcap_shell_link(INTERNAL)), *replies], MICROSECONDS + 1)
    output_of(
        "valgrind", "--tool=callgrind",
        f"--toggle-collect={COUNTED_FUNCTION}", f"--callgrind-out-file={profile}",
        str(pcap_shell), "--config-dir", str(work / "config"),
        "--port", f"external={external}:/dev/null", "--port", f"internal={internal}:/dev/null",
    )  # fmt: skip
    total = re.search(r"^(?:summary|totals): (\d+)", profile.read_text(), re.MULTILINE)
    if total is None or int(total[1]) == 0:
        raise BenchError(f"callgrind saw no call of {COUNTED_FUNCTION}: is it inlined or renamed?")
    return int(total[1])


def instructions_per_packet(pcap_shell: Path, work: Path) -> dict[str, float]:
    """Return the counts by case, of both families."""
    return {
        **counts_of(pcap_shell, ONE_SERVICE, work),
        **counts_of(pcap_shell, ONE_SERVICE_IPV6, work),
    }


def counts_of(pcap_shell: Path, services: Services, work: Path) -> dict[str, float]:
    """Return the counts by case; start-up and first packets cancel out in a difference of two runs."""
    write_config(work / "config", 2 * FLOWS, ("net_null0", "net_null1"), services)
    sent = client_frames(2 * FLOWS, pcap_shell_link(EXTERNAL), services)
    back = reply_flows(pcap_shell, 2 * FLOWS, work, services)
    replies = list(services.frames(back, pcap_shell_link(INTERNAL)))
    few, many, extra_laps = sent[:FLOWS], sent, 8
    short = counted(pcap_shell, services, few * 2, replies[:FLOWS] * 2, work)
    laps = 2 + extra_laps
    long = counted(pcap_shell, services, few * laps, replies[:FLOWS] * laps, work)
    one_lap = counted(pcap_shell, services, few, [], work)
    new_flows = counted(pcap_shell, services, many, [], work)
    family = 6 if services.ipv6 else 4
    return {
        f"fullnat-udp{family}": round((long - short) / (2 * extra_laps * FLOWS), 2),
        f"new-flow-udp{family}": round((new_flows - one_lap) / FLOWS, 2),
    }


def verdict(now: Accepted, accepted: Accepted) -> list[str]:
    """Return the complaints, none if all is well."""
    how = "to accept, run this command with --accept and give the reason in the commit"
    if now.compiler != accepted.compiler:
        return [f"counts of {now.compiler!r} do not compare with those of {accepted.compiler!r}; {how}"]
    pairs = [(case, count, accepted.instructions.get(case, 0.0)) for case, count in now.instructions.items()]
    return [
        f"{case}: {count:.1f} instructions per packet, accepted are {limit:.1f}; {how}"
        for case, count, limit in pairs
        if count > limit * (1 + GROWTH_LIMIT)
    ]


def main() -> int:
    """Count, compare, and say so; 1 on growth."""
    parser = argparse.ArgumentParser(prog="python -m bench.callgrind", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="rewrite callgrind.json with today's counts")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="skylane-callgrind-") as work:
            now = Accepted(compiler(), instructions_per_packet(built_pcap_shell(), Path(work)))
        if options.accept:
            ACCEPTED.write_text(json.dumps(vars(now), indent=1) + "\n")
        complaints = verdict(now, Accepted(**json.loads(ACCEPTED.read_text())))
    except BenchError as error:
        complaints = [str(error)]
    else:
        for case, count in now.instructions.items():
            print(f"{case}: {count:.1f} instructions per packet")
    for complaint in complaints:
        print(f"callgrind: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
