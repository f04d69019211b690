import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_reference_is_that_of_the_crd():
    written = (ROOT / "docs/reference.md").read_text()
    assert written == runpy.run_path(str(ROOT / "tools/reference.py"))["reference"](), (
        "run tools/reference.py"
    )
