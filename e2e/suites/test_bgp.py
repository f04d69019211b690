"""VIPs announced by BGP to the router of the test network: no static route is set, and what its kernel does is asserted."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import demo_steps as steps
from cluster import network
from lib.bird import Bird, learnt_routes, router_conf
from lib.kube import Cluster
from lib.proc import wait_until
from lib.traffic import Answers, Client, Plan, requests_from

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
NAME, VIP = "announced", "198.51.100.14"
NICS = ("10.77.0.13", "10.77.0.14")
ROUTER_ASN, POD_ASN = 64513, 64512
PASSWORD = "of-a-test-only"  # noqa: S105
LEARN_TIMEOUT_S = 30
INTERVAL_S = 0.005
URL = f"http://{VIP}:80/"


def objects() -> list[Json]:
    """A peer, its password and a LoadBalancer of two pods that is like the demo's, but announces its VIP."""
    metadata = {"name": "router", "namespace": "default"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": {"password": PASSWORD},
    }
    spec = {
        "peerAddress": network.ROUTER_ADDRESS,
        "peerASN": ROUTER_ASN,
        "localASN": POD_ASN,
        "passwordSecretRef": {"name": "router"},
    }
    peer = {"apiVersion": "skylane.dev/v1alpha1", "kind": "BGPPeer", "metadata": metadata, "spec": spec}
    balancer = copy.deepcopy(steps.load_balancer())
    balancer["metadata"]["name"] = NAME
    balancer["spec"].pop("services", None)
    balancer["spec"] |= {"replicas": 2, "advertisement": {"bgpPeers": ["router"]}}
    dataplane = balancer["spec"]["dataplane"]
    dataplane["networks"][0]["addresses"] = [f"{address}/24" for address in NICS]
    # Two small pods have room where the demo's one was.
    dataplane |= {"hugepages": {"size": "2Mi", "total": "128Mi"}, "maxFlowsPerWorker": 65536}
    dataplane["localAddresses"] = ["10.77.0.113", "10.77.0.114"]
    balancer["spec"]["listeners"] = [balancer["spec"]["listeners"][0] | {"vip": VIP}]
    return [secret, peer, balancer]


@pytest.fixture(scope="module", name="router")
def router_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bird]:
    folder: Path = tmp_path_factory.mktemp("router")
    conf = folder / "router.conf"
    conf.write_text(router_conf(network.ROUTER_ADDRESS, ROUTER_ASN, PASSWORD, network.POD_SUBNET))
    router = Bird(network.ROUTER, "router", folder, conf)
    router.start()
    try:
        yield router
    finally:
        router.stop()


@pytest.fixture(scope="module", name="announced")
def announced_fixture(demo: Cluster, router: Bird) -> Iterator[Cluster]:
    """Both pods announce; the operator has been given the right to read the one Secret."""
    wait_until(router.socket.exists, "the router's BIRD", 10, interval_s=0.05)
    # The node has CPUs for two pods; the demo's own comes back with the next suite.
    demo.kubectl(
        "delete",
        steps.KIND,
        steps.name_of(steps.load_balancer()),
        "--wait",
        "--cascade=foreground",
        timeout_s=120,
    )
    values = ["--reuse-values", "--set", "bgp.passwordSecrets[0].namespace=default"]
    values += ["--set", "bgp.passwordSecrets[0].name=router"]
    words = ["upgrade", steps.RELEASE, steps.CHART, "--namespace", steps.OPERATOR_NAMESPACE, *values]
    demo.helm(*words, "--skip-crds", "--wait", "--timeout", "120s")
    for document in objects():
        demo.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    try:
        demo.wait_ready(steps.KIND, NAME, steps.READY_TIMEOUT_S)
        until_next_hops(*NICS)
        yield demo
    finally:
        demo.kubectl("delete", steps.KIND, NAME, "--wait", "--cascade=foreground", timeout_s=120)
        demo.kubectl("delete", "bgppeer,secret", "router")


def until_next_hops(*addresses: str) -> None:
    """Wait until the router's kernel forwards the VIP to these, and to no other."""
    wait_until(
        lambda: learnt_routes(network.ROUTER).get(VIP, set()) == set(addresses),
        f"{VIP} by {addresses}",
        LEARN_TIMEOUT_S,
        interval_s=0.01,
    )


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
