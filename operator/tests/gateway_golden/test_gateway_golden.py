"""Each <case>.in.yaml gives exactly <case>.out.yaml. `make golden` rewrites the latter."""

import os
from pathlib import Path

import pytest
import yaml
from gateway_golden_world import outcome

FOLDER = Path(__file__).parent
CASES = sorted(file.name.removesuffix(".in.yaml") for file in FOLDER.glob("*.in.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_statuses_and_listeners_are_the_golden_ones(case):
    golden = FOLDER / f"{case}.out.yaml"
    text = yaml.safe_dump(outcome((FOLDER / f"{case}.in.yaml").read_text()), sort_keys=False, width=120)
    if os.environ.get("GOLDEN") == "rewrite":
        golden.write_text(text)
    assert text == golden.read_text()
