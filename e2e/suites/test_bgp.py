"""VIPs announced by BGP to the router of the test network: no static route is set, and what its kernel does is asserted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from announced import NAME, NICS, VIP, announcing, running_router, until_next_hops

import demo_steps as steps
from cluster import network
from lib.bird import Bird
from lib.kube import Cluster
from lib.traffic import Answers, Client, Plan, requests_from

pytestmark = pytest.mark.cluster

INTERVAL_S = 0.005
URL = f"http://{VIP}:80/"


@pytest.fixture(scope="module", name="router")
def router_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bird]:
    with running_router(tmp_path_factory.mktemp("router")) as router:
        yield router


@pytest.fixture(scope="module", name="announced")
def announced_fixture(demo: Cluster, router: Bird) -> Iterator[Cluster]:
    """Both pods announce to the router; the demo's LoadBalancer comes back with the next suite."""
    assert router.socket.exists()
    with announcing(demo):
        yield demo


def traffic_while(act: Callable[[], None]) -> Answers:
    client = Client(network.CLIENT, Plan(URL, 1_000_000, 90, INTERVAL_S))
    try:
        act()
    finally:
        answers = client.finish()
    return answers


def test_clients_reach_the_vip_by_what_the_router_has_learnt(announced: Cluster) -> None:
    answers = requests_from(network.CLIENT, Plan(URL, 100, 30.0))
    assert (answers.failed, answers.total) == (0, 100)
    condition = announced.conditions(steps.KIND, NAME)["Advertised"]
    assert (condition["status"], condition["reason"]) == ("True", "Advertised")
    for ordinal in range(len(NICS)):
        assert f"pod {NAME}-skylane-{ordinal} announces {VIP} to router" in condition["message"]


def test_a_deleted_pod_withdraws_before_it_ends(announced: Cluster, router: Bird) -> None:
    """New connections go to the other pod; only the one under way may fail, when a path goes and when it comes back."""

    def replace() -> None:
        announced.kubectl("delete", "pod", f"{NAME}-skylane-1", "--wait=false")
        started = time.monotonic()
        until_next_hops(NICS[0])
        print(f"withdrawn {(time.monotonic() - started) * 1000:.0f} ms after kubectl delete")
        until_next_hops(*NICS)

    answers = traffic_while(replace)
    assert answers.failed <= 2, answers.failures
    assert "Established" in router.says("show protocols")


def test_a_vip_without_backends_is_withdrawn_by_both(announced: Cluster) -> None:
    deployment = steps.deployment_name()
    replicas = announced.read("deployment", deployment)["spec"]["replicas"]
    announced.kubectl("scale", f"deployment/{deployment}", "--replicas=0")
    try:
        until_next_hops()
    finally:
        announced.kubectl("scale", f"deployment/{deployment}", f"--replicas={replicas}")
    until_next_hops(*NICS)


def test_a_peer_that_is_taken_out_learns_nothing_more_and_no_pod_is_replaced(announced: Cluster) -> None:
    before = {pod["metadata"]["uid"] for pod in steps.pods_of(announced, NAME)}
    announced.kubectl(
        "patch", steps.KIND, NAME, "--type=json", "-p", '[{"op": "remove", "path": "/spec/advertisement"}]'
    )
    until_next_hops()
    patch = json.dumps({"spec": {"advertisement": {"bgpPeers": ["router"]}}})
    announced.kubectl("patch", steps.KIND, NAME, "--type=merge", "-p", patch)
    until_next_hops(*NICS)
    assert {pod["metadata"]["uid"] for pod in steps.pods_of(announced, NAME)} == before
