import importlib.util
from pathlib import Path

API = Path(__file__).resolve().parent.parent


def generate_module():
    spec = importlib.util.spec_from_file_location("skylane_api_generate", API / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_stubs_are_what_the_contract_generates(tmp_path):
    written = generate_module().generated_files(tmp_path)
    fresh = {path.relative_to(tmp_path): path.read_text() for path in written}
    committed = {path: (API / "src" / path).read_text() for path in fresh}
    assert len(fresh) == 3
    assert fresh == committed, "run: uv run python lb_image/api/generate.py"
