"""The forwarder's own check accepts every snapshot of the golden cases: both sides mean the same file format.

A health check is the agent's, and no part of the file; nor is what it must not check.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FORWARDER = ROOT / "build/fwd/dpdk/skylane-fwd"
CASES = [
    path
    for path in sorted((ROOT / "operator/tests/golden").glob("*.out.yaml"))
    if any(pod["base"] for pod in yaml.safe_load(path.read_text()).get("snapshot", {}).values())
]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name.partition(".")[0])
def test_check_accepts_it(case, tmp_path):
    for ordinal, pod in yaml.safe_load(case.read_text())["snapshot"].items():
        folder = tmp_path / str(ordinal)
        (folder / "listeners").mkdir(parents=True)
        (folder / "base.json").write_text(json.dumps(pod["base"]))
        for name, listener in pod["listeners"].items():
            file = {field: value for field, value in listener.items() if field != "health_check"}
            for backend in file["backends"]:
                backend.pop("draining", None)
            (folder / "listeners" / f"{name}.json").write_text(json.dumps(file))
        checked = subprocess.run(
            [FORWARDER, "--check", folder], capture_output=True, text=True, timeout=30, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")
