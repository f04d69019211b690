"""Processes of a pod's containers, seen from the host."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from lib.kube import Cluster
from lib.proc import wait_until

RESTART_TIMEOUT_S = 60


def container_status(
    cluster: Cluster, pod: str, container: str, namespace: str = "default"
) -> dict[str, Any]:
    """The container's entry in the pod's status. Raises LookupError when there is none."""
    statuses = cluster.read("pod", pod, namespace)["status"].get("containerStatuses", [])
    for status in statuses:
        if status["name"] == container:
            return dict(status)
    raise LookupError(f"pod {namespace}/{pod} has no container {container}")


def first_process(container_id: str) -> int:
    """Process id, on the host, of the container's process 1. Raises LookupError when it does not run."""
    identity = container_id.rpartition("/")[2]
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and identity in (entry / "cgroup").read_text() and _is_first(entry):
                return int(entry.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise LookupError(f"container {container_id}: no process")


def _is_first(process: Path) -> bool:
    """Whether it is number 1 of its own PID namespace; on the host later ones may have lower numbers."""
    lines = (process / "status").read_text().splitlines()
    return next(line for line in lines if line.startswith("NSpid:")).split()[-1] == "1"


def kill_container(cluster: Cluster, pod: str, container: str, namespace: str = "default") -> None:
    """SIGKILL its first process, and wait until the kubelet has started it again."""
    before = container_status(cluster, pod, container, namespace)
    os.kill(first_process(before["containerID"]), signal.SIGKILL)

    def restarted() -> bool:
        now = container_status(cluster, pod, container, namespace)
        return now["restartCount"] > before["restartCount"] and "running" in now["state"]

    wait_until(restarted, f"container {container} of {pod} to start again", RESTART_TIMEOUT_S, interval_s=0.2)


def crash_process(cluster: Cluster, pod: str, container: str, namespace: str = "default") -> None:
    """SIGKILL the oldest process that the container's first one has started. Raises LookupError when it has none."""
    first = first_process(container_status(cluster, pod, container, namespace)["containerID"])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    if not children:
        raise LookupError(f"container {container} of {namespace}/{pod} supervises nothing")
    os.kill(int(children[0]), signal.SIGKILL)
