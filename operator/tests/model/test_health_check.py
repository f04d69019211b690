"""The model refuses what the CRD's rules refuse: objects may have been stored before there were rules."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from skylane_operator.model.health_check import HealthCheck
from skylane_operator.model.load_balancer import LoadBalancerSpec

EXAMPLES = Path(__file__).resolve().parents[3] / "crds/examples"
INVALID = sorted((EXAMPLES / "invalid").glob("health-check-*.yaml"))


def spec_of(path):
    return yaml.safe_load(path.read_text())["spec"]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_example_is_refused(path):
    with pytest.raises(ValidationError, match=r"healthCheck|listeners\.0"):
        LoadBalancerSpec.model_validate(spec_of(path))


def test_valid_example_has_one_of_each_type():
    spec = LoadBalancerSpec.model_validate(spec_of(EXAMPLES / "valid/health-checks.yaml"))
    assert {listener.health_check.type for listener in spec.listeners} == {
        "TCP",
        "HTTP",
        "HTTPS",
        "GRPC",
        "UDP",
        "ICMP",
    }


def test_defaults_are_those_of_a_newcomer():
    check = TypeAdapter(HealthCheck).validate_python({"type": "TCP"})
    assert (check.interval_seconds, check.timeout_seconds) == (5, 1)
    assert (check.healthy_threshold, check.unhealthy_threshold, check.panic_threshold_percent) == (2, 3, 0)
