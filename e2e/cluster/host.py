"""What the cluster changes on the host outside its namespaces, and how it is put back.

Everything is written down before the first change, so that `down` works from any half-started state.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from cluster.paths import DATA, RUN
from lib.net import NAMESPACES
from lib.proc import run, wait_until

RECORD = RUN / "host-before.json"
# The kubelet sets these for the whole machine.
SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
HUGEPAGES_NEEDED = 256  # 2 MiB each: the demo's forwarder and one more of its size
CGROUP_MOUNT = Path("/sys/fs/cgroup")
CGROUP = "skylane-e2e"
# Mount points that the node's private mounts need, and the kubelet and containerd would make.
FOLDERS = (Path("/var/lib/kubelet"), Path("/var/lib/cni"), Path("/run/containerd"), NAMESPACES)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def prepare() -> None:
    """Write down what is, then raise hugepages and make the cgroup and the mount points."""
    if _record() is None:
        # What lies there is of a cluster that a reboot ended: its pods, pids and certificates are of no use.
        for folder in (DATA, RUN):
            shutil.rmtree(folder, ignore_errors=True)
        RUN.mkdir(parents=True)
        _write_record()
    for folder in FOLDERS:
        folder.mkdir(parents=True, exist_ok=True)
    _make_cgroups()
    raise_hugepages(HUGEPAGES_NEEDED)


def restore() -> None:
    """Put back what ``prepare`` wrote down; without its record there is nothing to put back."""
    _remove_cgroups()
    before = _record()
    if before is None:
        return
    for name, value in before["sysctls"].items():
        Path("/proc/sys", name).write_text(value)
    _lower_hugepages(before["hugepages"])
    if not before["namespaces_mounted"] and _is_mounted(NAMESPACES) and not any(NAMESPACES.iterdir()):
        # `ip netns add` mounts the folder onto itself the first time.
        run("umount", NAMESPACES)
    for folder in before["missing_folders"]:
        _remove_if_empty(Path(folder))
    RECORD.unlink()


def raise_hugepages(free: int) -> None:
    """Have at least ``free`` hugepages of 2 MiB free, and remember how many were added.

    Raises:
        MemoryError: the kernel found less contiguous memory than that.

    """
    missing = free - _meminfo("HugePages_Free")
    if missing <= 0:
        return
    change_hugepages(missing)
    if _meminfo("HugePages_Free") < free:
        raise MemoryError(
            f"{HUGEPAGES}: {free} free hugepages wanted, the kernel gave {_meminfo('HugePages_Free')}"
        )


def change_hugepages(pages: int) -> None:
    """Add or take pages; the setting is shared with others, so only our own share is remembered."""
    before = int(HUGEPAGES.read_text())
    # Written down first, in full; what the kernel did not give is corrected afterwards.
    _remember_hugepages(pages)
    HUGEPAGES.write_text(str(before + pages))
    _remember_hugepages(int(HUGEPAGES.read_text()) - before - pages)


def _remember_hugepages(pages: int) -> None:
    record = json.loads(RECORD.read_text())
    record["hugepages"] += pages
    RECORD.write_text(json.dumps(record))


def _lower_hugepages(ours: int) -> None:
    """Take back what we added, but never what somebody else holds."""
    spare = min(ours, _meminfo("HugePages_Free")) if ours > 0 else ours
    HUGEPAGES.write_text(str(int(HUGEPAGES.read_text()) - spare))


def _meminfo(name: str) -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _write_record() -> None:
    record = {
        "boot": BOOT_ID.read_text(),
        "sysctls": {name: Path("/proc/sys", name).read_text().strip() for name in SYSCTLS},
        "hugepages": 0,
        "namespaces_mounted": _is_mounted(NAMESPACES),
        "missing_folders": [str(folder) for folder in FOLDERS if not folder.exists()],
    }
    RECORD.write_text(json.dumps(record))


def _is_mounted(folder: Path) -> bool:
    """Also true of a folder that is mounted onto itself, unlike Path.is_mount."""
    return any(
        line.split()[4] == str(folder) for line in Path("/proc/self/mountinfo").read_text().splitlines()
    )


def _record() -> dict[str, Any] | None:
    """What was written down since the machine started, if anything."""
    try:
        record = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return None
    return dict(record) if record["boot"] == BOOT_ID.read_text() else None


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        print(f"left {folder}: {error.strerror}")


def cgroup_hierarchies() -> list[Path]:
    """The one hierarchy of cgroup v2, or every mounted one of v1."""
    if (CGROUP_MOUNT / "cgroup.controllers").exists():
        return [CGROUP_MOUNT]
    return [folder for folder in sorted(CGROUP_MOUNT.iterdir()) if (folder / "cgroup.procs").exists()]


def system_cgroup() -> Path:
    """Where the cluster's own processes live: never where the kubelet puts pods.

    With cgroup v1 one hierarchy is enough to find every process again.
    """
    hierarchies = cgroup_hierarchies()
    return next((h for h in hierarchies if h.name == "pids"), hierarchies[0]) / CGROUP / "system"


def processes() -> set[int]:
    """Every process of the cluster: daemons, shims, and whatever runs in its pods."""
    found: set[int] = set()
    for hierarchy in cgroup_hierarchies():
        for file in (hierarchy / CGROUP).rglob("cgroup.procs"):
            found.update(int(pid) for pid in file.read_text().split())
    return found


def kill_processes() -> None:
    """Kill every process of the cluster, and those that it starts meanwhile."""

    def none_left() -> bool:
        left = processes()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left

    wait_until(none_left, "the cluster's processes to end", timeout_s=30)


def _make_cgroups() -> None:
    for hierarchy in cgroup_hierarchies():
        top = hierarchy / CGROUP
        top.mkdir(exist_ok=True)
        _inherit_cpuset(top)
    system_cgroup().mkdir(exist_ok=True)


def _inherit_cpuset(folder: Path) -> None:
    """A new cgroup of v1's cpuset controller takes no process before it has CPUs and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        of_parent = folder.parent / name
        if of_parent.exists():
            (folder / name).write_text(of_parent.read_text())


def _remove_cgroups() -> None:
    for hierarchy in cgroup_hierarchies():
        top = hierarchy / CGROUP
        if not top.exists():
            continue
        folders = [top, *(folder for folder in top.rglob("*") if folder.is_dir())]
        for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
            folder.rmdir()
