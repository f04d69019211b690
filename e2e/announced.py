"""A LoadBalancer of two pods that announces its VIP by BGP to a router with BIRD, beside the demo's objects."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import demo_steps as steps
from cluster import network
from lib.bird import Bird, learnt_routes, router_conf
from lib.kube import Cluster
from lib.proc import wait_until

Json = dict[str, Any]
NAME, VIP, PORT = "announced", "198.51.100.14", 80
NICS = ("10.77.0.13", "10.77.0.14")
PODS = tuple(f"{NAME}-skylane-{ordinal}" for ordinal in range(len(NICS)))
ROUTER_ASN, POD_ASN = 64513, 64512
PASSWORD = "of-a-test-only"  # noqa: S105
LEARN_TIMEOUT_S = 30


def objects(*, session_sync: bool = False) -> list[Json]:
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
    balancer["spec"] |= {"replicas": len(NICS), "advertisement": {"bgpPeers": ["router"]}}
    dataplane = balancer["spec"]["dataplane"]
    dataplane["networks"][0]["addresses"] = [f"{address}/24" for address in NICS]
    # Two small pods have room where the demo's one was.
    dataplane |= {"hugepages": {"size": "2Mi", "total": "128Mi"}, "maxFlowsPerWorker": 65536}
    if session_sync:
        # Each has places for the flows of both.
        dataplane |= {"sessionSync": {"enabled": True}, "maxFlowsPerWorker": 32768}
    dataplane["localAddresses"] = ["10.77.0.113", "10.77.0.114"]
    balancer["spec"]["listeners"] = [balancer["spec"]["listeners"][0] | {"vip": VIP, "port": PORT}]
    return [secret, peer, balancer]


@contextlib.contextmanager
def running_router(folder: Path) -> Iterator[Bird]:
    """BIRD in the router's namespace, which takes sessions from pods."""
    conf = folder / "router.conf"
    conf.write_text(router_conf(network.ROUTER_ADDRESS, ROUTER_ASN, PASSWORD, network.POD_SUBNET))
    router = Bird(network.ROUTER, "router", folder, conf)
    router.start()
    try:
        wait_until(router.socket.exists, "the router's BIRD", 10, interval_s=0.05)
        yield router
    finally:
        router.stop()


@contextlib.contextmanager
def announcing(cluster: Cluster, *, session_sync: bool = False) -> Iterator[None]:
    """Inside, both pods announce; the operator has been given the right to read the one Secret.

    The demo's own LoadBalancer goes away: the node has CPUs for two pods.
    """
    demo = steps.name_of(steps.load_balancer())
    words = ("delete", steps.KIND, demo, "--ignore-not-found", "--wait", "--cascade=foreground")
    cluster.kubectl(*words, timeout_s=120)
    values = ["--reuse-values", "--set", "bgp.passwordSecrets[0].namespace=default"]
    values += ["--set", "bgp.passwordSecrets[0].name=router"]
    upgrade = ["upgrade", steps.RELEASE, steps.CHART, "--namespace", steps.OPERATOR_NAMESPACE, *values]
    cluster.helm(*upgrade, "--skip-crds", "--wait", "--timeout", "120s")
    for document in objects(session_sync=session_sync):
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    try:
        cluster.wait_ready(steps.KIND, NAME, steps.READY_TIMEOUT_S)
        until_next_hops(*NICS)
        yield
    finally:
        cluster.kubectl("delete", steps.KIND, NAME, "--wait", "--cascade=foreground", timeout_s=120)
        cluster.kubectl("delete", "bgppeer,secret", "router")


def until_next_hops(*addresses: str) -> None:
    """Wait until the router's kernel forwards the VIP to these, and to no other."""
    wait_until(
        lambda: learnt_routes(network.ROUTER).get(VIP, set()) == set(addresses),
        f"{VIP} by {addresses}",
        LEARN_TIMEOUT_S,
        interval_s=0.01,
    )
