"""Two pods that know each other's flows: what ends one of them, or sends its clients to the other, ends no established stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from announced import NAME, NICS, PODS, PORT, VIP, announcing, running_router
from chaos import Case, forwarder_kill, measure, pod_delete, pod_kill, rolling_upgrade, shared_by_ports

import demo_steps as steps
from cluster import network
from lib.kube import Cluster
from lib.load import STREAMS, Load
from lib.proc import wait_until

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
# Streams ask each 100 ms.
WHILE_S = 3.0
# Until a flow is known to the other pod, at most (docs/design/session_sync.md).
KNOWN_S = 4.0
CONDITION_TIMEOUT_S = 60


@pytest.fixture(scope="module", name="synced")
def synced_fixture(demo: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Both pods announce and sync; the demo's LoadBalancer comes back with the next suite."""
    with (
        running_router(tmp_path_factory.mktemp("router")),
        announcing(demo, session_sync=True),
        shared_by_ports(),
    ):
        yield demo


@contextmanager
def routed_to(*next_hops: str) -> Iterator[None]:
    """Inside, the router sends the VIP to these, whatever it has learnt: a static route comes before BIRD's."""
    network.set_vip_route(VIP, next_hops)
    try:
        yield
    finally:
        network.set_vip_route(VIP, ())


def stats_of(cluster: Cluster, pod: str) -> Json:
    query = ("skylane-fwd", "--query", "/run/skylane/control.sock", json.dumps({"command": "stats"}))
    return dict(json.loads(cluster.kubectl("exec", pod, "--container=forwarder", "--", *query)))


def scale(cluster: Cluster, replicas: int) -> None:
    patch = json.dumps({"spec": {"replicas": replicas}})
    cluster.kubectl("patch", steps.KIND, NAME, "--type=merge", "-p", patch)


def until_complete(cluster: Cluster) -> None:
    def complete() -> bool:
        condition = cluster.conditions(steps.KIND, NAME).get("SessionSync", {})
        return (condition.get("status"), condition.get("reason")) == ("True", "Complete")

    wait_until(complete, "SessionSync=True (Complete)", CONDITION_TIMEOUT_S, interval_s=0.2)


def test_status_and_counters_tell_of_it(synced: Cluster) -> None:
    until_complete(synced)
    assert f"each of {len(PODS)} pods" in synced.conditions(steps.KIND, NAME)["SessionSync"]["message"]
    with routed_to(NICS[0]):
        load = Load(network.CLIENT, VIP, PORT)
        wait_until(
            lambda: stats_of(synced, PODS[1])["sync"]["foreign_flows"] >= STREAMS,
            f"{PODS[1]} to know the streams of {PODS[0]}",
            CONDITION_TIMEOUT_S,
            interval_s=0.2,
        )
        toll = load.finish()
    assert toll.resets == 0, toll.failures
    for ordinal, pod in enumerate(PODS):
        sync = stats_of(synced, pod)["sync"]
        (peer,) = sync["peers"]
        assert (sync["state"], peer["ordinal"], peer["state"]) == ("complete", 1 - ordinal, "alive")


def test_streams_that_a_router_sends_to_another_pod_go_on(synced: Cluster) -> None:
    """And new connections as well: there is a pod for them all the time.

    One that is being made while the route changes is too young to be known elsewhere, and may be reset.
    """
    until_complete(synced)
    hops = (NICS[0], NICS[1], NICS[0])
    load = Load(network.CLIENT, VIP, PORT)
    try:
        time.sleep(KNOWN_S)
        for hop in hops:
            with routed_to(hop):
                time.sleep(WHILE_S)
    finally:
        toll = load.finish()
    print(toll)
    assert toll.resets == 0, toll.failures
    assert toll.lost <= 2 * len(hops), toll.failures  # each route is set and taken away


@pytest.mark.parametrize("strike", [forwarder_kill, pod_delete, pod_kill, rolling_upgrade])
def test_no_stream_breaks(synced: Cluster, strike: Callable[[Cluster], None]) -> None:
    """What waiting costs them is printed: it is until somebody else has the local addresses, and one retransmission."""
    until_complete(synced)
    toll = measure(synced, Case(strike.__name__, strike))
    print(toll)
    assert toll.resets == 0, toll.failures
    until_complete(synced)


def test_scaling_within_the_addresses_replaces_no_pod(synced: Cluster) -> None:
    before = synced.read("pod", PODS[0])["metadata"]["uid"]
    scale(synced, 1)
    try:
        gone = f"pod/{PODS[1]}"
        synced.kubectl("wait", "--for=delete", gone, f"--timeout={CONDITION_TIMEOUT_S}s", timeout_s=90)
        until_complete(synced)
    finally:
        scale(synced, len(PODS))
    synced.wait_ready(steps.KIND, NAME, steps.READY_TIMEOUT_S)
    until_complete(synced)
    assert synced.read("pod", PODS[0])["metadata"]["uid"] == before
