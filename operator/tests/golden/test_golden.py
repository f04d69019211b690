import os
import re

import pytest
from golden_world import FOLDER, outcome_of, text_of

from skylane_operator.plan.types import Reason

CASES = sorted(path.name.removesuffix(".in.yaml") for path in FOLDER.glob("*.in.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_case_gives_what_was_reviewed(case):
    expected = FOLDER / f"{case}.out.yaml"
    text = text_of(outcome_of(case))
    if os.environ.get("GOLDEN") == "rewrite":
        expected.write_text(text)
    assert text == expected.read_text(), (
        f"{case}: `make golden` rewrites the golden files; review the difference"
    )


def test_every_output_has_its_input():
    outputs = {path.name.removesuffix(".out.yaml") for path in FOLDER.glob("*.out.yaml")}
    assert outputs == set(CASES)


def test_every_reason_to_reject_has_a_case():
    texts = "".join(path.read_text() for path in FOLDER.glob("*.out.yaml"))
    shown = set(re.findall(r"reason: (\w+)", texts))
    placements = {
        "InsufficientHugepages",
        "InsufficientNICs",
        "InsufficientCPU",
        "InsufficientMemory",
        "NoMatchingNode",
    }
    assert shown >= set(Reason) | placements
