"""The demo's own steps, on the single-node cluster: what `make demo` shows is also asserted here."""

from __future__ import annotations

import pytest

import demo_steps as steps
from lib.kube import Cluster

pytestmark = pytest.mark.cluster

ALL_TRUE = {
    "Accepted",
    "ResolvedRefs",
    "AddressAssigned",
    "ResourcesAvailable",
    "DataplaneReady",
    "Programmed",
    "Advertised",
    "BackendsHealthy",
    "Ready",
    "UpToDate",
}


def test_every_condition_is_true(demo: Cluster) -> None:
    conditions = demo.conditions(steps.KIND, steps.name_of(steps.load_balancer()))
    assert {kind for kind, condition in conditions.items() if condition["status"] == "True"} == ALL_TRUE


def test_requests_reach_every_backend_evenly(demo: Cluster) -> None:
    answers = steps.send_requests()
    assert answers.total == steps.REQUESTS
    replicas = demo.read("deployment", steps.deployment_name())["spec"]["replicas"]
    assert len(answers.served) == replicas
    share = steps.REQUESTS / replicas
    assert all(abs(count - share) <= 0.05 * share for count in answers.served.values()), answers.served


def test_no_request_fails_while_backends_come_and_go(demo: Cluster) -> None:
    answers = steps.scale_under_load(demo)
    assert answers.failed == 0
    assert answers.total > steps.REQUESTS


def test_pod_asks_for_its_nic_as_for_a_virtual_function(demo: Cluster) -> None:
    network = steps.load_balancer()["spec"]["dataplane"]["networks"][0]
    shape = steps.nic_shape(demo)
    assert network["networkAttachment"] in shape
    assert f"{network['resourceName']}: 1" in shape


def test_forwarder_pod_is_unprivileged(demo: Cluster) -> None:
    pod = steps.pods_of(demo, steps.name_of(steps.load_balancer()))[0]
    spec = pod["spec"]
    assert not spec.get("hostNetwork", False)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert not context.get("privileged", False)
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(context["capabilities"].get("add", [])) <= {"NET_ADMIN", "NET_RAW", "SYS_NICE"}


def test_helm_test_passes(demo: Cluster) -> None:
    said = demo.helm("test", steps.RELEASE, "--namespace", steps.OPERATOR_NAMESPACE, "--timeout", "90s")
    assert "Phase:          Succeeded" in said
