"""Programs of the test cluster that are single Go commands: Helm, and Multus (the thin plugin)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

from cluster.binaries import GO_ENVIRONMENT
from cluster.paths import THIRD_PARTY, cache
from lib.proc import run

BUILD_TIMEOUT_S = 20 * 60
TOOL_LINE = re.compile(r"^tool (\S+)$", re.MULTILINE)


def helm() -> Path:
    """The `helm` program; built on the first call, found on later ones."""
    return go_tool("helm")


def multus() -> Path:
    """The `multus` CNI plugin; built on the first call, found on later ones."""
    return go_tool("multus")


def go_tool(name: str) -> Path:
    """The program of the `tool` line in third_party/``name``/go.mod, in the cache.

    Raises:
        CommandError: it does not compile, or a module could not be fetched.
        LookupError: go.mod has no `tool` line.

    """
    source = THIRD_PARTY / name
    program = cache() / f"{name}-{_digest(source)}" / name
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(source, program)
    return program


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for file in ("go.mod", "go.sum"):
        digest.update((source / file).read_bytes())
    return digest.hexdigest()[:16]


def _build(source: Path, program: Path) -> None:
    found = TOOL_LINE.search((source / "go.mod").read_text())
    if found is None:
        raise LookupError(f"{source}/go.mod: no `tool` line names the program")
    print(f"compiling {source.name} (once)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        command = ["go", "build", "-p", str(os.cpu_count() or 1), "-trimpath", "-ldflags", "-s -w"]
        built = Path(scratch) / program.name
        run(*command, "-o", built, found[1], env=GO_ENVIRONMENT, cwd=source, timeout_s=BUILD_TIMEOUT_S)
        built.rename(program)
