"""The two measured programs, testpmd and skylane-fwd, on the same net_pcap ports."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.process import BenchError, running, wait_until

START_TIMEOUT_S = 60.0
REPLY_TIMEOUT_S = 5.0
# Core 0 stays with the main thread and the rest of the machine; a second worker has it, too.
LCORES = ("0@0,1@1", "0@0,1@1,2@0")
# Files of a port, one a receive queue.
Queues = tuple[Path, ...]


@dataclass(frozen=True)
class Counters:
    """Packets since the start; `drops` by reason."""

    received: int
    forwarded: int
    drops: dict[str, int]


@dataclass(frozen=True)
class Subject:
    """A running program and the way to read its counters."""

    pid: int
    counters: Callable[[], Counters]
    workers: int = 1


def port_devices(captures: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the vdev arguments of ports with one queue: endless receive, transmit dropped."""
    return queue_devices(tuple((path,) for path in captures))


def queue_devices(ports: tuple[Queues, ...]) -> tuple[str, ...]:
    """Return the same for ports with several queues."""
    files = ["".join(f",rx_pcap={path}" for path in queues) for queues in ports]
    return tuple(f"net_pcap{n}{queues},infinite_rx=1" for n, queues in enumerate(files))


def telemetry(path: Path, command: str) -> dict[str, Any] | None:
    """Ask the telemetry socket of a DPDK program; None while it has none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(REPLY_TIMEOUT_S)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        client.recv(1 << 14)  # greeting
        client.send(command.encode())
        reply: dict[str, Any] = json.loads(client.recv(1 << 16))
        return reply


def testpmd_counters(path: Path, ports: int) -> Counters | None:
    """Return the sum over the ports; None before they run."""
    received = forwarded = 0
    for port in range(ports):
        reply = telemetry(path, f"/ethdev/stats,{port}")
        if reply is None or not isinstance(reply.get("/ethdev/stats"), dict):
            return None
        received += reply["/ethdev/stats"]["ipackets"]
        forwarded += reply["/ethdev/stats"]["opackets"]
    return Counters(received, forwarded, {"tx_refused": received - forwarded})


@contextmanager
def running_testpmd(
    devices: tuple[str, ...], mbufs: int, work: Path, mode: str = "io", workers: int = 1
) -> Iterator[Subject]:
    """Run `dpdk-testpmd`: each worker moves packets between two ports, or from one port back to it."""
    prefix = f"skylane-bench-{os.getpid()}"
    runtime = Path(os.environ.get("RUNTIME_DIRECTORY") or "/var/run") / "dpdk" / prefix
    command = [
        "dpdk-testpmd", "--in-memory", "--iova-mode=va", "--no-pci", f"--file-prefix={prefix}",
        f"--lcores={LCORES[workers - 1]}", *(f"--vdev={device}" for device in devices), "--",
        f"--forward-mode={mode}", "--burst=32", f"--nb-cores={workers}", f"--rxq={workers}", f"--txq={workers}",
        f"--total-num-mbufs={mbufs}", "--auto-start",
    ]  # fmt: skip
    log = work / "testpmd.log"
    with running(command, log, {}) as process:
        socket_path, ports = runtime / "dpdk_telemetry.v2", len(devices)
        yield started(process, log, lambda: testpmd_counters(socket_path, ports), workers)


def control_request(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Send one request to the forwarder's control socket; None while there is no socket.

    Raises:
        BenchError: the forwarder refuses the request.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(REPLY_TIMEOUT_S)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        client.sendall(json.dumps(request).encode() + b"\n")
        with client.makefile("rb") as lines:
            reply: dict[str, Any] = json.loads(lines.readline())
    if not reply.get("ok"):
        raise BenchError(f"control socket refuses {request}: {reply}")
    return reply


def forwarder_counters(path: Path) -> Counters | None:
    """Return the sum over the workers; None before they run."""
    reply = control_request(path, {"command": "stats"})
    if reply is None or not reply.get("workers"):
        return None
    return Counters(
        sum(worker["rx_packets"] for worker in reply["workers"]),
        sum(worker["tx_packets"] for worker in reply["workers"]),
        reply["drops"],
    )


@contextmanager
def running_forwarder(
    binary: Path,
    config: Path,
    mbufs: int,
    work: Path,
    workers: int = 1,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Subject]:
    """Run `skylane-fwd` on a configuration folder whose ports are vdevs."""
    control = work / "control.sock"
    control.unlink(missing_ok=True)
    command = [
        str(binary), "--config-dir", str(config), "--control", str(control), "--allow-vdev",
        "--lcores", LCORES[workers - 1], "--mbufs", str(mbufs), "--seed", "0",
    ]  # fmt: skip
    log = work / "skylane-fwd.log"
    with running(command, log, environment) as process:
        yield started(process, log, lambda: forwarder_counters(control), workers)


def started(
    process: subprocess.Popen[bytes],
    log: Path,
    counters: Callable[[], Counters | None],
    workers: int,
) -> Subject:
    """Return the subject once its first packets are through.

    Raises:
        BenchError: it ends, or forwards nothing in time.
    """

    def first_packets() -> Counters | None:
        now = counters()
        return now if now is not None and now.forwarded > 0 else None

    def counters_now() -> Counters:
        now = counters()
        if now is None:
            raise BenchError(f"{process.args!r} has no counters any more")
        return now

    wait_until(first_packets, process, log, START_TIMEOUT_S)
    return Subject(process.pid, counters_now, workers)
