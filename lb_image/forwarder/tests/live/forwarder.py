"""A skylane-fwd process, its configuration directory and its control socket."""

import hashlib
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from live.network import GATEWAY, LOCAL_ADDRESS, PORT_ADDRESS, VIP
from live.servers import TCP_PORT

from lib.net import inside
from lib.proc import Process, log_tail, start, wait_until

ROOT = Path(__file__).parents[4]
BINARY = Path(os.environ.get("SKYLANE_FWD", ROOT / "build/fwd/dpdk/skylane-fwd"))


def _with_generation(configuration: Mapping[str, Any]) -> dict[str, Any]:
    canonical = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    return {**configuration, "generation": hashlib.sha256(canonical.encode()).hexdigest()[:16]}


def base(**changes: Any) -> dict[str, Any]:
    """base.json for one worker on net1."""
    port = {"name": "external", "driver": "af_packet", "interface": "net1"}
    port |= {"address": f"{PORT_ADDRESS}/24", "gateway": GATEWAY}
    whole = {"version": 1, "workers": 1, "poll_mode": "adaptive", "max_flows_per_worker": 16384}
    return _with_generation({**whole, "ports": [port], "local_addresses": [LOCAL_ADDRESS], **changes})


def listener(
    name: str, servers: Sequence[str], port: int = 80, backend_port: int = TCP_PORT, **changes: Any
) -> dict[str, Any]:
    """A round robin TCP listener on the VIP."""
    backends = [{"address": server, "port": backend_port, "weight": 1} for server in servers]
    whole = {"version": 1, "name": name, "vip": VIP, "port": port, "protocol": "tcp", "scheduler": "rr"}
    return _with_generation({**whole, "backends": backends, **changes})


class ForwarderError(Exception):
    """The forwarder did not start or did not answer; carries the end of its log."""


@dataclass
class Forwarder:
    """Files in ``directory``: config/, control.sock, flows, log."""

    directory: Path
    namespace: str
    supervised: bool = False
    keeps_flows: bool = True  # in a file; else they are in EAL's memory
    process: Process | None = field(default=None, init=False)

    @property
    def config(self) -> Path:
        return self.directory / "config"

    @property
    def flow_file(self) -> Path:
        return self.directory / "flows"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def command(self) -> list[str | Path]:
        options: list[str | Path] = [
            "--config-dir",
            self.config,
            "--control",
            self.directory / "control.sock",
            "--no-huge",
            "--allow-vdev",
        ]
        if self.keeps_flows:
            options += ["--flow-file", self.flow_file]
        return [*inside(self.namespace), BINARY, *options, *(["--supervise"] if self.supervised else [])]

    def write(self, *configurations: Mapping[str, Any]) -> None:
        """Write base.json (the one with ports) and listeners, each by rename as the agent does."""
        for configuration in configurations:
            name = "base" if "ports" in configuration else f"listeners/{configuration['name']}"
            self.write_text(f"{name}.json", json.dumps(configuration, indent=1))

    def write_text(self, name: str, text: str) -> None:
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(text)
        unfinished.rename(path)

    def start(self) -> None:
        """Start the process; it may have nothing to run yet."""
        self.process = start(self.command, self.log)

    def wait_for(self, state: str) -> None:
        """Wait until the control socket reports ``state``.

        Raises:
            ForwarderError: the process ended, or 20 s passed.

        """

        def reached() -> bool:
            if self.process is None or not self.process.alive:
                raise ForwarderError(f"skylane-fwd ended: {log_tail(self.log)}")
            try:
                return bool(self.query("status")["state"] == state)
            except (FileNotFoundError, ConnectionError, json.JSONDecodeError):
                return False  # not there yet, or ending

        try:
            wait_until(reached, f"state {state}", timeout_s=20)
        except TimeoutError as error:
            raise ForwarderError(f"{error}: {log_tail(self.log)}") from error

    def query(self, command: str, **arguments: Any) -> dict[str, Any]:
        """One request on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(self.directory / "control.sock"))
            client.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            with client.makefile() as lines:
                reply: dict[str, Any] = json.loads(lines.readline())
        return reply

    def load(self, *names: str) -> dict[str, Any]:
        """Load these listeners, or the whole directory."""
        return self.query("load", **({"listeners": list(names)} if names else {}))

    def wait_for_gateway(self) -> None:
        """Wait until the gateway has answered ARP: what comes before that is dropped."""

        def resolved() -> bool:
            neighbours = self.query("stats")["neighbours"]
            return any(n["address"] == GATEWAY and n["state"] == "resolved" for n in neighbours)

        wait_until(resolved, "the gateway's MAC address", timeout_s=5, interval_s=0.02)

    def kill(self) -> None:
        """As the kernel does when memory runs out; returns when its last thread is gone."""
        assert self.process is not None
        self.process.send(signal.SIGKILL)
        os.waitpid(self.process.pid, 0)

    def children(self) -> list[int]:
        """Process ids of what the supervisor started, the oldest first."""
        assert self.process is not None
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def cpu_seconds(self) -> float:
        """CPU time used so far by all threads."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_forwarder(
    directory: Path, namespace: str, *configurations: Mapping[str, Any], supervised: bool = False
) -> Iterator[Forwarder]:
    """A forwarder that runs ``configurations``, ended when the block ends."""
    forwarder = Forwarder(directory, namespace, supervised)
    forwarder.write(*configurations)
    forwarder.start()
    try:
        forwarder.wait_for("running")
        forwarder.wait_for_gateway()
        yield forwarder
    finally:
        forwarder.stop()
