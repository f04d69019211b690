"""A real API server takes what the golden cases render, with unknown fields refused."""

from pathlib import Path

import pytest
import yaml

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.apiserver
@pytest.mark.parametrize("case", ["demo", "exclusive-vfio", "session-sync"])
def test_objects_are_taken(api_server, case):
    for item in yaml.safe_load((GOLDEN / f"{case}.out.yaml").read_text())["render"]:
        text = yaml.safe_dump(item)
        api_server.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=text)
