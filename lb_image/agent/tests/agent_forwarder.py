"""A real forwarder process for the agent's tests: no hugepages, a port that leads nowhere or to an interface."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lib.net import inside

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("SKYLANE_FWD", ROOT / "build/fwd/dpdk/skylane-fwd"))
BASE_GENERATION = "ba5e" * 4


NOWHERE = {"driver": "vdev", "device": "net_null0,no-rx=1"}  # only tests may have it: no message can carry it


def write_base(config_dir: Path, *, ipv6: bool = False, interface: str = "") -> None:
    """A base with one port, on the interface if there is one."""
    device = {"driver": "af_packet", "interface": interface} if interface else NOWHERE
    port = {"name": "external", **device, "address": "10.77.0.11/24", "gateway": "10.77.0.1"}
    base = {
        "version": 1,
        "generation": BASE_GENERATION,
        "workers": 1,
        "poll_mode": "adaptive",
        "unknown_tcp": "reset",
        "steering": "auto",
        "max_flows_per_worker": 1024,
        "ports": [port],
        "local_addresses": ["10.77.0.101"],
    }
    if ipv6:
        port |= {"address6": "2001:db8:77::11/64", "gateway6": "2001:db8:77::1"}
        base["local_addresses"] = ["10.77.0.101", "2001:db8:77::101"]
    config_dir.mkdir(exist_ok=True)
    temporary = config_dir / ".base.json.tmp"
    temporary.write_text(json.dumps(base))
    temporary.replace(config_dir / "base.json")


@contextlib.contextmanager
def running_forwarder(
    folder: Path, namespace: str | None = None, *, supervised: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """skylane-fwd on `folder`/config and `folder`/control.sock; its log is `folder`/forwarder.log."""
    options = ["--config-dir", folder / "config", "--control", folder / "control.sock"]
    if supervised:
        options += ["--supervise", "--flow-file", folder / "flows"]
    command = [*inside(namespace), BINARY, *options]
    with (folder / "forwarder.log").open("ab") as log:
        process = subprocess.Popen([*command, "--no-huge", "--allow-vdev"], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of what a supervisor started, the oldest first."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}")
    return [int(child) for child in (tasks / "children").read_text().split()]


def has_spare(process: subprocess.Popen[bytes]) -> bool:
    """Whether a second process waits, with the threads that it starts last."""
    spares = children(process)[1:]
    return bool(spares) and len(list(Path(f"/proc/{spares[0]}/task").iterdir())) > 1
