"""A real API server takes every valid example and refuses every invalid one with a message that names the field."""

from pathlib import Path

import pytest
import yaml

from lib.proc import CommandError

CRDS = Path(__file__).parent
VALID = sorted((CRDS / "examples/valid").glob("*.yaml"))
INVALID = sorted((CRDS / "examples/invalid").glob("*.yaml"))

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def with_crd(api_server):
    for file in sorted(CRDS.glob("*.yaml")):
        api_server.kubectl("apply", "--filename", str(file))
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    return api_server


def _refusal(api_server, path):
    with pytest.raises(CommandError) as refused:
        api_server.kubectl("create", "--dry-run=server", "--validate=strict", "--filename", str(path))
    return refused.value.output


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_example_is_taken(with_crd, path):
    with_crd.kubectl("create", "--dry-run=server", "--validate=strict", "--filename", str(path))


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_example_is_refused_by_its_field(with_crd, path):
    first_line = path.read_text().partition("\n")[0]
    assert first_line.startswith("# refused: ")
    assert first_line.removeprefix("# refused: ") in _refusal(with_crd, path)


def test_defaults_are_filled_in(with_crd):
    path = CRDS / "examples/valid/minimal.yaml"
    created = with_crd.kubectl(
        "create", "--dry-run=server", "--validate=strict", "--output=yaml", "--filename", str(path)
    )
    spec = yaml.safe_load(created)["spec"]
    assert (spec["replicas"], spec["dataplane"]["cpu"]) == (1, {"policy": "exclusive"})
    assert spec["listeners"][0]["timeouts"]["udpSeconds"] == 180


def test_largest_object_is_within_the_cost_budget(with_crd, tmp_path):
    """256 listeners and 256 local addresses on 64 replicas: the rules must stay affordable for what the schema allows.

    Source ranges, which the schema allows more of than an object can hold, are as many as fit.
    """
    body = yaml.safe_load((CRDS / "examples/valid/minimal.yaml").read_text())
    network = body["spec"]["dataplane"]["networks"][0]
    body["spec"]["replicas"] = 64
    network["addresses"] = [f"10.77.0.{number}/16" for number in range(11, 75)]
    body["spec"]["dataplane"]["localAddresses"] = [f"10.77.200.{number}" for number in range(256)]
    listener = body["spec"]["listeners"][0]
    listener["allowedSourceRanges"] = [f"10.{number}.0.0/16" for number in range(100)]
    body["spec"]["listeners"] = [{**listener, "name": f"l{n}", "port": 1000 + n} for n in range(256)]
    path = tmp_path / "large.yaml"
    path.write_text(yaml.safe_dump(body))
    with_crd.kubectl("create", "--dry-run=server", "--filename", str(path))
