"""The node's namespaces and how its programs are started in them.

One holder process owns a private mount namespace in the node's network namespace. The fixed paths that
the kubelet, containerd and CNI use are bind mounts there, so the host's own are never touched and every
mount ends with the last process.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from cluster import host, network
from cluster.paths import DATA, LOGS, PIDS, RUN
from lib.net import inside
from lib.proc import Process, log_tail, run, start, wait_until

PCI_FOLDER = DATA / "pci-devices"
# Fixed path in the programs → where it really lies.
PRIVATE_FOLDERS = {
    Path("/var/lib/kubelet"): DATA / "kubelet",
    Path("/var/lib/cni"): DATA / "cni",
    Path("/var/log"): LOGS / "node",
    Path("/run/containerd"): RUN / "containerd-shims",
    Path("/run/netns"): RUN / "netns",
    # What host-device is told by Multus is a PCI address, which veth pairs have not: this folder lies over
    # the kernel's list of PCI devices and says which interface a device is (cni.write_pci_devices).
    Path("/sys/bus/pci/devices"): PCI_FOLDER,
}
# Images and containers' file systems lie in memory (about 1.2 GiB): loading them is several times faster
# than to a disk, and they go away at once with the last process.
MEMORY_FOLDER = DATA / "containerd"
HOLDER = "holder"


def holder() -> Process | None:
    """The process that holds the node's namespaces, when it runs."""
    process = Process.read(PIDS / HOLDER)
    return process if process is not None and process.alive else None


def start_holder() -> None:
    if holder() is not None:
        return
    ready = RUN / "holder-ready"
    ready.unlink(missing_ok=True)
    mounts = ["set -e"]
    for fixed, real in PRIVATE_FOLDERS.items():
        real.mkdir(parents=True, exist_ok=True)
        mounts.append(f"mount --bind {real} {fixed}")
    MEMORY_FOLDER.mkdir(parents=True, exist_ok=True)
    mounts.append(f"mount -t tmpfs -o mode=0711 skylane-e2e {MEMORY_FOLDER}")
    script = "\n".join([*mounts, "mount --make-rshared /", f"touch {ready}", "exec sleep infinity"])
    command = [*inside(network.NODE), "unshare", "--mount", "--propagation=private", "sh", "-c", script]
    process = start(_in_cgroup(command), LOGS / f"{HOLDER}.log")
    process.write(PIDS / HOLDER)
    try:
        wait_until(ready.exists, "the node's private mounts", timeout_s=10, interval_s=0.02)
    except TimeoutError as late:
        raise TimeoutError(f"{late}\n{log_tail(LOGS / f'{HOLDER}.log')}") from late


def command_inside(*command: str | Path) -> list[str]:
    """The command, made to run in the node's namespaces."""
    process = holder()
    if process is None:
        raise ProcessLookupError("the node is not up: run `make demo` or `python -m cluster up` first")
    enter = ["nsenter", f"--target={process.pid}", "--mount", "--net", "--", "env", "-C", str(Path.cwd())]
    return [*enter, *(str(word) for word in command)]


def run_inside(*command: str | Path, timeout_s: float = 120) -> str:
    """Run a command in the node's namespaces; see ``lib.proc.run``."""
    return run(*command_inside(*command), timeout_s=timeout_s)


def start_inside(name: str, command: Sequence[str | Path]) -> None:
    """Start a daemon of the node unless it runs already; its log is LOGS/``name``.log."""
    if runs(name):
        return
    process = start(_in_cgroup(command_inside(*command)), LOGS / f"{name}.log")
    process.write(PIDS / name)


def start_beside(name: str, command: Sequence[str | Path]) -> None:
    """Start a daemon that serves the node but lives in the host's namespaces."""
    if runs(name):
        return
    process = start(_in_cgroup([str(word) for word in command]), LOGS / f"{name}.log")
    process.write(PIDS / name)


def runs(name: str) -> bool:
    process = Process.read(PIDS / name)
    return process is not None and process.alive


def stop(name: str, timeout_s: float = 10) -> None:
    """Stop a daemon of the node; one that does not run is fine."""
    process = Process.read(PIDS / name)
    if process is not None:
        process.stop(timeout_s)
        (PIDS / name).unlink()


def _in_cgroup(command: Sequence[str]) -> list[str]:
    """The command, moved into the cluster's cgroup first: that is how `down` finds all descendants."""
    script = f'echo $$ > {shlex.quote(str(host.system_cgroup()))}/cgroup.procs && exec "$@"'
    return ["sh", "-c", script, "sh", *command]
