"""Bad input and faults: each gives a condition that names the object and the field, and traffic of healthy listeners goes on."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from leader import leader_pod, wait_for_all_replicas, wait_for_another_leader

import demo_steps as steps
from cluster import network
from lib.containers import container_status, crash_process, kill_container
from lib.kube import Cluster
from lib.proc import wait_until
from lib.traffic import Answers, Client, Plan

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
NAME = "demo"
POD = "demo-skylane-0"
CONDITION_TIMEOUT_S = 30
INTERVAL_S = 0.005
CONTAINERS = ("forwarder", "agent", "bird")


class Traffic:
    """Requests that go on while something happens; ``answers`` afterwards."""

    def __init__(self) -> None:
        self.answers = Answers()


@contextlib.contextmanager
def traffic() -> Iterator[Traffic]:
    client, running = Client(network.CLIENT, Plan(steps.url(), 1_000_000, 90, INTERVAL_S)), Traffic()
    try:
        yield running
    finally:
        running.answers = client.finish()


def wait_condition(cluster: Cluster, name: str, kind: str, status: str, reason: str) -> str:
    """The condition's message once it has this status and reason."""

    def found() -> bool:
        condition = cluster.conditions(steps.KIND, name).get(kind, {})
        return (condition.get("status"), condition.get("reason")) == (status, reason)

    try:
        wait_until(found, f"{kind}={status} ({reason})", CONDITION_TIMEOUT_S, interval_s=0.2)
    except TimeoutError as late:
        raise TimeoutError(f"{late}; it is {cluster.conditions(steps.KIND, name).get(kind)}") from late
    return str(cluster.conditions(steps.KIND, name)[kind]["message"])


def second_load_balancer(change: Callable[[Json], None]) -> Json:
    """One that would be good beside the demo's, but for ``change`` to its spec."""
    document = copy.deepcopy(steps.load_balancer())
    document["metadata"]["name"] = "faulty"
    spec = document["spec"]
    spec["dataplane"]["networks"][0]["addresses"] = ["10.77.0.12/24"]
    spec["dataplane"]["localAddresses"] = ["10.77.0.102"]
    spec["listeners"][0]["vip"] = "198.51.100.12"
    change(spec)
    return document


@contextlib.contextmanager
def applied(cluster: Cluster, document: Json) -> Iterator[None]:
    """The object exists inside; afterwards it and its pods are gone."""
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    try:
        yield
    finally:
        name = steps.name_of(document)
        cluster.kubectl("delete", steps.KIND, name, "--wait", "--cascade=foreground", timeout_s=90)


@contextlib.contextmanager
def patched(cluster: Cluster, listeners: list[Json]) -> Iterator[None]:
    """The demo's object has ``listeners`` inside, its own afterwards."""

    def patch(value: list[Json]) -> None:
        text = json.dumps({"spec": {"listeners": value}})
        cluster.kubectl("patch", steps.KIND, NAME, "--type=merge", "-p", text)

    patch(listeners)
    try:
        yield
    finally:
        patch(steps.load_balancer()["spec"]["listeners"])
        cluster.wait_ready(steps.KIND, NAME, CONDITION_TIMEOUT_S)


@pytest.mark.parametrize(
    ("backend", "reason", "field"),
    [
        ({"service": "nowhere", "port": 80}, "ServiceNotFound", "listeners[1].backends[0].service"),
        ({"service": "echo", "port": 81}, "ServicePortNotFound", "listeners[1].backends[0].port"),
    ],
)
def test_reference_that_leads_nowhere(demo: Cluster, backend: Json, reason: str, field: str) -> None:
    good = steps.load_balancer()["spec"]["listeners"][0]
    bad = {**good, "name": "bad", "port": 8080, "backends": [backend]}
    with traffic() as running, patched(demo, [good, bad]):
        message = wait_condition(demo, NAME, "ResolvedRefs", "False", reason)
    assert field in message
    assert str(backend["service"]) in message
    assert running.answers.failed == 0, running.answers.failures
    assert running.answers.total > 0


def no_such_attachment(spec: Json) -> None:
    spec["dataplane"]["networks"][0]["networkAttachment"] = "nowhere"


def vip_of_the_demo(spec: Json) -> None:
    spec["listeners"][0]["vip"] = "198.51.100.10"


def too_many_hugepages(spec: Json) -> None:
    spec["dataplane"]["hugepages"] = {"size": "2Mi", "total": "64Gi"}


def no_such_nic(spec: Json) -> None:
    spec["dataplane"]["networks"][0]["resourceName"] = "example.com/nothing"


def too_many_cores(spec: Json) -> None:
    spec["dataplane"] |= {"cpu": {"policy": "exclusive"}, "workers": 64}


@pytest.mark.parametrize(
    ("change", "kind", "reason", "words"),
    [
        (
            no_such_attachment,
            "ResolvedRefs",
            "NetworkAttachmentNotFound",
            ["networks[0].networkAttachment", "nowhere"],
        ),
        (vip_of_the_demo, "Accepted", "ListenerConflict", ["listeners[0].port", "198.51.100.10", "demo"]),
        (too_many_hugepages, "ResourcesAvailable", "InsufficientHugepages", ["hugepages-2Mi", network.NODE]),
        (no_such_nic, "ResourcesAvailable", "InsufficientNICs", ["example.com/nothing", network.NODE]),
        (too_many_cores, "ResourcesAvailable", "InsufficientCPU", ["cpu", network.NODE]),
    ],
)
def test_second_object_is_told_and_the_first_not_disturbed(
    demo: Cluster, change: Callable[[Json], None], kind: str, reason: str, words: list[str]
) -> None:
    with traffic() as running, applied(demo, second_load_balancer(change)):
        message = wait_condition(demo, "faulty", kind, "False", reason)
        assert demo.conditions(steps.KIND, "faulty")["Ready"]["status"] == "False"
    assert all(word in message for word in words), message
    assert running.answers.failed == 0, running.answers.failures
    assert running.answers.total > 0


def test_vip_inside_a_local_address_is_refused(demo: Cluster) -> None:
    def change(spec: Json) -> None:
        spec["listeners"][0]["vip"] = "10.77.0.102"

    document = json.dumps(second_load_balancer(change))
    refusal = demo.refusal("apply", "-f", "-", stdin=document)
    assert "spec.listeners" in refusal
    assert "localAddresses" in refusal


def test_leading_operator_killed(demo: Cluster) -> None:
    """Another replica leads, nothing is disturbed, and a change still arrives."""
    wait_for_all_replicas(demo)
    leader = leader_pod(demo)
    with traffic() as running:
        kill_container(demo, leader, "operator", steps.OPERATOR_NAMESPACE)
        wait_for_another_leader(demo, leader)
    assert running.answers.failed == 0, running.answers.failures
    assert steps.scale_under_load(demo).failed == 0
    statuses = demo.read("pod", POD)["status"]["containerStatuses"]
    assert {status["name"]: status["restartCount"] for status in statuses} == dict.fromkeys(CONTAINERS, 0)


def test_leading_operator_deleted(demo: Cluster) -> None:
    """It hands over, as in a rollout or when its node is drained."""
    wait_for_all_replicas(demo)
    leader = leader_pod(demo)
    with traffic() as running:
        demo.kubectl("delete", "pod", leader, "-n", steps.OPERATOR_NAMESPACE, "--wait=false")
        wait_for_another_leader(demo, leader)
    assert running.answers.failed == 0, running.answers.failures
    assert steps.scale_under_load(demo).failed == 0
    wait_for_all_replicas(demo)


def test_agent_killed(demo: Cluster) -> None:
    """Packets do not notice; afterwards a change still arrives."""
    with traffic() as running:
        kill_container(demo, POD, "agent")
        demo.wait_ready(steps.KIND, NAME, CONDITION_TIMEOUT_S)
    assert running.answers.failed == 0, running.answers.failures
    assert steps.scale_under_load(demo).failed == 0


def test_forwarder_crashes(demo: Cluster) -> None:
    """Its supervisor starts it again with its flows: nobody notices, not even the kubelet."""
    before = container_status(demo, POD, "forwarder")["restartCount"]
    with traffic() as running:
        crash_process(demo, POD, "forwarder")
        assert steps.send_requests().failed == 0
    assert running.answers.failed == 0, running.answers.failures
    assert container_status(demo, POD, "forwarder")["restartCount"] == before


def test_forwarder_killed(demo: Cluster) -> None:
    """It starts again from the directory, and serves as before."""
    kill_container(demo, POD, "forwarder")
    demo.kubectl("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=60s")
    demo.wait_ready(steps.KIND, NAME, CONDITION_TIMEOUT_S)
    assert steps.send_requests().failed == 0
