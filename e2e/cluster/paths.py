"""Where things lie. The three roots are told apart by how long they live."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
THIRD_PARTY = Path(__file__).resolve().parent / "third_party"

# Of the running cluster: pids, sockets, what `down` must restore. Gone with the cluster or a reboot.
RUN = Path("/run/skylane-e2e")
# Of the running cluster: its disks and logs.
DATA = Path("/var/lib/skylane-e2e")
LOGS = DATA / "logs"
PIDS = RUN / "pids"
KUBECONFIG = RUN / "admin.kubeconfig"


def cache() -> Path:
    """What is dear to build and survives a fresh clone; each entry is keyed by a hash of its inputs."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "skylane"
