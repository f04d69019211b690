"""The committed stubs of the device plugin API."""

from __future__ import annotations

from pathlib import Path

from cluster import stubs


def test_stubs_are_what_the_proto_generates(tmp_path: Path) -> None:
    committed = {name: (stubs.E2E / "cluster" / name).read_text() for name in stubs.NAMES}
    assert stubs.generate(tmp_path) == committed, "run: uv run --directory e2e python -m cluster.stubs"
