"""Several replicas of the operator: one leads, another follows it within seconds, and no forwarder notices."""

import asyncio
import itertools
import json
import time
import urllib.request

import pytest
from operator_support import endpoint_slice, eventually, service
from replicas_world import LEASES, SLICES, Replicas

from skylane_agent.stream import Timing
from skylane_operator import app as app_module
from skylane_operator import term as term_module
from skylane_operator.errors import ApiError
from skylane_operator.kube.client import APPLY, JSON, KubeClient

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
OURS = ("skylane.dev/v1alpha1", "loadbalancers", "edge")


@pytest.fixture
async def replicas(world):
    async with Replicas(world) as replicas:
        yield replicas


async def serving(world):
    """One LoadBalancer up to Ready, its agent with the timing that it has in a pod; returns its forwarder."""
    world.create("v1", "services", service(world.namespace, "web"))
    world.create(*SLICES[:2], endpoint_slice(world.namespace, "web", "10.244.0.5"))
    world.add_load_balancer()
    await world.until_pod(POD)
    forwarder = world.start_forwarder(POD)
    world.start_agent(POD, timing=Timing())
    await world.until_condition("Programmed", "True")
    world.set_ready(POD)
    await world.until_condition("Ready", "True")
    return forwarder


def listener_file(world):
    return world.pod_folder(POD) / "config" / "listeners" / "web.json"


def backends_on_disk(world):
    return [one["address"] for one in json.loads(listener_file(world).read_text())["backends"]]


async def until_endpoint_arrives(world, address, timeout_s):
    wanted = endpoint_slice(world.namespace, "web", address)["endpoints"]
    world.change(*SLICES[:2], "web-1", lambda body: body.update(endpoints=wanted))
    await eventually(
        lambda: backends_on_disk(world) == [address], f"{address} in the forwarder's directory", timeout_s
    )


async def fetched(replica, path):
    url = f"http://127.0.0.1:{replica.operator.http_port}{path}"

    def read():
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(read)


async def test_killed_leader_is_followed_within_seconds(world, replicas, record_property):
    leader = await replicas.spawn()
    await eventually(lambda: b": leading: " in leader.log.read_bytes(), "the first to lead")
    other = await replicas.spawn()
    forwarder = await serving(world)
    assert replicas.leader_address() == leader.address
    process, written = forwarder.process.pid, listener_file(world).stat().st_mtime_ns
    killed_s = time.monotonic()
    leader.kill()
    # Until then the forwarder goes on with what it has.
    assert (forwarder.process.poll(), listener_file(world).stat().st_mtime_ns) == (None, written)
    await until_endpoint_arrives(world, "10.244.0.9", timeout_s=15)
    took_s = time.monotonic() - killed_s
    record_property("killed_leader_to_endpoint_change_served_s", round(took_s, 2))
    assert replicas.leader_address() == other.address
    assert forwarder.process.pid == process
    assert forwarder.process.poll() is None
    # 3.0 to 3.5 s on a quiet machine, and 5 are allowed; this one may be busy.
    assert took_s < 7


async def test_leader_that_is_told_to_stop_hands_over_at_once(world, replicas, record_property):
    leader, other = await replicas.start(), await replicas.start()
    await leader.until_leading()
    await serving(world)
    told_s = time.monotonic()
    await leader.stop()
    await other.until_leading()
    leads_s = time.monotonic() - told_s
    await until_endpoint_arrives(world, "10.244.0.9", timeout_s=10)
    record_property("told_to_stop_to_led_s", round(leads_s, 2))
    record_property("told_to_stop_to_endpoint_change_served_s", round(time.monotonic() - told_s, 2))
    assert leads_s < 1.5


async def test_takeover_writes_nothing_and_tells_nothing(world, replicas, monkeypatch):
    leader, other = await replicas.start(), await replicas.start()
    await leader.until_leading()
    await serving(world)
    monkeypatch.setattr(term_module, "SETTLE_S", 2.0)

    def told():
        events = world.api.request("GET", world.path("events.k8s.io/v1", "events"))["items"]
        return world.load_balancer()["metadata"]["resourceVersion"], len(events)

    await eventually(lambda: not len(leader.operator.term.status), "the last status to be written")
    before = told()
    await leader.stop()
    await other.until_leading()
    term = other.operator.term
    await eventually(term.agents.connection_count, "the agent's return")
    handled = term.queue.handled
    await eventually(lambda: term._settled, "the time that agents are given to end")
    looked = lambda: term.queue.handled > handled and not len(term.queue) and not term.queue._running  # noqa: E731
    await eventually(looked, "the look after it")
    assert not len(term.status)
    assert told() == before


async def test_standby_is_ready_and_warm_and_silent(world, replicas):
    leader, standby = await replicas.start(), await replicas.start()
    await leader.until_leading()
    written = []
    request = standby.operator._client.request

    async def noted(method, path, **kwargs):
        if method != "GET":
            written.append(f"{method} {path}")
        return await request(method, path, **kwargs)

    standby.operator._client.request = noted
    await serving(world)
    cluster = standby.operator.cluster
    await eventually(
        lambda: any(key.name == "web" for key in cluster.services), "the Service to be known there"
    )
    assert not standby.leads
    assert written == []
    for replica, leads in ((leader, 1), (standby, 0)):
        assert await fetched(replica, "/readyz") == (200, "ok\n")
        assert await fetched(replica, "/healthz") == (200, "ok\n")
        _, metrics = await fetched(replica, "/metrics")
        assert f"skylane_operator_leader {leads}.0" in metrics.splitlines()
        assert ("skylane_agents 1.0" in metrics.splitlines()) == bool(leads)


async def test_leader_that_is_cut_off_ends_before_another_begins(world, replicas, monkeypatch):
    terms = []

    class Noted(term_module.Term):
        async def run(self):
            began_s = time.monotonic()
            try:
                await super().run()
            finally:
                terms.append((began_s, time.monotonic()))

    monkeypatch.setattr(app_module, "Term", Noted)
    leader, other = await replicas.start(), await replicas.start()
    await leader.until_leading()
    await serving(world)
    leader.api_relay.cut()
    await other.until_leading()
    assert not leader.leads
    await until_endpoint_arrives(world, "10.244.0.9", timeout_s=10)
    leader.api_relay.mend()
    await other.stop()
    await leader.until_leading(20)
    # What the other one did meanwhile is known, not undone.
    await until_endpoint_arrives(world, "10.244.0.10", timeout_s=20)
    assert not leader.task.done()
    await leader.stop()
    terms.sort()
    assert len(terms) == 3
    assert all(one[1] <= following[0] for one, following in itertools.pairwise(terms))


def address_of(world, name):
    ingress = world.service(name)["status"].get("loadBalancer", {}).get("ingress", [{"ip": ""}])
    return ingress[0]["ip"]


def add_load_balancer_service(world, name, **annotations):
    spec = {
        "type": "LoadBalancer",
        "loadBalancerClass": "skylane.dev/edge",
        "allocateLoadBalancerNodePorts": False,
    }
    body = service(world.namespace, name, **spec)
    body["metadata"]["annotations"] = annotations
    world.create("v1", "services", body)


async def test_addresses_that_another_leader_has_assigned_stay(world, replicas, monkeypatch):
    monkeypatch.setattr(term_module, "SETTLE_S", 2.0)
    world.add_load_balancer(services=(), pools=[world.add_pool("192.0.2.8/30")])
    add_load_balancer_service(world, "web")
    leader, other = await replicas.start(), await replicas.start()
    await leader.until_leading()
    await eventually(lambda: address_of(world, "web") == "192.0.2.8", "the first address")
    leader.api_relay.cut()
    await other.until_leading()
    # The other one moves it, as it is asked to, and gives its address to somebody else.
    wanted = {"skylane.dev/address": "192.0.2.9"}
    world.change("v1", "services", "web", lambda body: body["metadata"].update(annotations=wanted))
    await eventually(lambda: address_of(world, "web") == "192.0.2.9", "the move")
    world.change("v1", "services", "web", lambda body: body["metadata"].update(annotations={}))
    add_load_balancer_service(world, "late")
    await eventually(lambda: address_of(world, "late") == "192.0.2.8", "the address that is free again")
    leader.api_relay.mend()
    await other.stop()
    await leader.until_leading(20)
    term = leader.operator.term
    await eventually(
        lambda: term._settled and not len(term.objects) and not len(term._service_status), "a look"
    )
    assert (address_of(world, "web"), address_of(world, "late")) == ("192.0.2.9", "192.0.2.8")


async def test_outage_of_the_api_server_ends_no_process_and_disturbs_no_forwarder(world, replicas):
    both = [await replicas.start(), await replicas.start()]
    await both[0].until_leading()
    forwarder = await serving(world)
    written = listener_file(world).stat().st_mtime_ns
    for replica in both:
        replica.api_relay.cut()
    await eventually(lambda: not any(replica.operator.term for replica in both), "nobody to lead")
    for replica in both:
        assert not replica.task.done()
        assert (await fetched(replica, "/healthz"))[0] == 200
    assert (forwarder.process.poll(), listener_file(world).stat().st_mtime_ns) == (None, written)
    for replica in both:
        replica.api_relay.mend()
    await eventually(lambda: any(replica.leads for replica in both), "one to lead again")
    await until_endpoint_arrives(world, "10.244.0.9", timeout_s=20)
    assert sum(replica.leads for replica in both) == 1


async def test_address_of_the_leader_is_restored(world, replicas):
    leader = await replicas.start()
    await leader.until_leading()
    owner = replicas.slice()["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Service", "skylane-operator")
    world.change(*SLICES, lambda body: body["endpoints"][0].update(addresses=["192.0.2.99"]))
    await eventually(lambda: replicas.leader_address() == "192.0.2.1", "the address to come back")
    deleted = replicas.slice()["metadata"]["uid"]
    world.delete(*SLICES)

    def made_again():
        items = world.api.request("GET", world.path(*SLICES[:2]))["items"]
        return [
            one for one in items if one["metadata"]["name"] == SLICES[2] and one["metadata"]["uid"] != deleted
        ]

    await eventually(made_again, "the EndpointSlice to come back")
    assert replicas.leader_address() == "192.0.2.1"


async def test_endpoint_slice_of_somebody_else_is_named(world, replicas, caplog):
    world.create(*SLICES[:2], endpoint_slice(world.namespace, "skylane-operator", "192.0.2.98", port=9443))
    leader = await replicas.start()
    await leader.until_leading()
    await eventually(lambda: f"{world.namespace}/skylane-operator-1" in caplog.text, "the warning")
    assert "delete it" in caplog.text


async def test_lease_names_the_process(world, replicas):
    leader = await replicas.start()
    await leader.until_leading()
    spec = world.get(*LEASES)["spec"]
    assert spec["leaseDurationSeconds"] == 3
    await leader.stop()
    assert world.get(*LEASES)["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/web-1"),
        ("PATCH", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/skylane-operator"),
        ("POST", "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/{}/leases/another"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/skylane-operator"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/{}/leases"),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/{}/leases/skylane-operator"),
    ],
)
async def test_nobody_elses_lease_or_endpoint_slice_is_the_operators(world, replicas, method, path):
    content_type = APPLY if method == "PATCH" else JSON
    query = {"fieldManager": "skylane-operator"} if method == "PATCH" else None
    async with await KubeClient.connect(replicas.kubeconfig()) as client:
        with pytest.raises(ApiError) as refused:
            await client.request(
                method, path.format(world.namespace), body={}, query=query, content_type=content_type
            )
    assert refused.value.status == 403
