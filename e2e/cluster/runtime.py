"""containerd with runc, under folders of its own, and the images that the cluster itself needs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from cluster import node
from cluster.cni import BIN_FOLDER, CONF_FOLDER
from cluster.paths import DATA, LOGS, RUN
from lib.proc import CommandError, log_tail, run, succeeds, wait_until

SOCKET = RUN / "containerd.sock"
# One image for two uses: its own command only sleeps (the pause container); tests run its shell.
BUSYBOX_IMAGE = "docker.io/skylane/busybox:e2e"
BUSYBOX = Path("/bin/busybox")
CONFIG = f"""\
version = 2
root = "{node.MEMORY_FOLDER}"
state = "{RUN}/containerd"
oom_score = 0

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{BUSYBOX_IMAGE}"
  # A machine may not let its containers lower their out-of-memory score.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{BIN_FOLDER}"
    conf_dir = "{CONF_FOLDER}"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def start() -> None:
    """Start containerd and give it the pause image."""
    config = DATA / "containerd.toml"
    config.write_text(CONFIG)
    node.start_inside("containerd", ["containerd", "--config", config])
    try:
        wait_until(is_ready, "containerd", timeout_s=30)
    except TimeoutError as late:
        raise TimeoutError(f"{late}\n{log_tail(LOGS / 'containerd.log')}") from late
    if not has_image(BUSYBOX_IMAGE):
        import_image(_busybox_archive(DATA / "busybox.tar"))


def is_ready() -> bool:
    return succeeds(*ctr("version"))


def ctr(*arguments: str | Path) -> list[str]:
    """The words of a `ctr` command on the cluster's containerd, in the namespace of the kubelet's images."""
    return ["ctr", f"--address={SOCKET}", "--namespace=k8s.io", *(str(word) for word in arguments)]


def has_image(name: str) -> bool:
    return name in run(*ctr("images", "list", "-q")).split()


def import_image(archive: Path) -> None:
    """Load a docker or OCI archive.

    Raises:
        CommandError: the archive is broken; the message names it.

    """
    try:
        # Into the host's mount namespace nothing is unpacked: the daemon does it.
        run(*ctr("images", "import", archive), timeout_s=300)
    except CommandError as error:
        raise CommandError(f"image archive {archive}: {error}") from error


def _busybox_archive(file: Path) -> Path:
    """Write a docker archive of an image with busybox alone; Debian's static build is all it needs."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox", filter=_owned_by_root)
        for applet in (
            "sh",
            "sleep",
            "cat",
            "ls",
            "ip",
            "ping",
            "wget",
            "nc",
            "httpd",
            "taskset",
            "grep",
            "mount",
        ):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    content = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [BUSYBOX_IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(file, "w") as tar:
        _add_bytes(tar, "layer.tar", content)
        _add_bytes(tar, "config.json", json.dumps(config).encode())
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
    return file


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    return member


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
