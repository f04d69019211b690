"""The Kubernetes programs, compiled from Go modules: no binary is downloaded, no image registry asked."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cluster.paths import THIRD_PARTY, cache
from lib.proc import run

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
# A cold compile takes 7-12 minutes on two cores; a shared machine may be slower.
BUILD_TIMEOUT_S = 45 * 60
# The go command fetches the tool chain that go.mod asks for as a module when the installed one is older.
GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOFLAGS": "-mod=readonly -buildvcs=false"}


def kubernetes() -> Path:
    """The folder that holds every name of PROGRAMS; built on the first call, found on later ones."""
    source = THIRD_PARTY / "kubernetes"
    folder = cache() / f"kubernetes-{_digest(source)}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "kubernetes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(source, folder)
    return folder


def _digest(source: Path) -> str:
    """One hash of all that decides the result: sources, sums, and the version of the compiler."""
    digest = hashlib.sha256()
    for file in (source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))):
        digest.update(file.read_bytes())
    digest.update(run("go", "version", env=GO_ENVIRONMENT, cwd=source, timeout_s=600).encode())
    return digest.hexdigest()[:16]


def _build(source: Path, folder: Path) -> None:
    """Compile into a scratch folder that takes the name of the result when all is there."""
    found = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", (source / "go.mod").read_text())
    if found is None:
        raise LookupError(f"{source}/go.mod: no line requires k8s.io/kubernetes vX.Y.Z")
    version, major, minor = found.groups()
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    print(f"compiling Kubernetes {version} (once, several minutes)", file=sys.stderr, flush=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        command = ["go", "build", "-p", str(os.cpu_count() or 1), "-trimpath", "-ldflags", f"-s -w {flags}"]
        binary = scratch / "kubernetes"
        run(*command, "-o", binary, ".", env=GO_ENVIRONMENT, cwd=source, timeout_s=BUILD_TIMEOUT_S)
        for name in PROGRAMS:
            (scratch / name).symlink_to(binary.name)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch)
        raise
