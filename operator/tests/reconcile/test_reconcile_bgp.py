"""VIPs announced by BGP, from the resources to a router's kernel: a real API server, agent, forwarder and BIRD on either side."""

import base64
import contextlib
import json

import pytest
from operator_support import endpoint_slice, eventually, service
from operator_world import NODE, load_balancer

from lib.bird import PodAndRouter

pytestmark = pytest.mark.apiserver

POD, OCTET = "edge-skylane-0", 77
VIP, NIC_ADDRESS = f"198.51.{OCTET}.10", f"10.77.{OCTET}.10"
PASSWORD = "of-a-test-only"  # noqa: S105
GROUP = "skylane.dev/v1alpha1"


def peer(name="rack-1", **spec):
    given = {
        "peerAddress": PodAndRouter.ROUTER_ADDRESS,
        "peerASN": PodAndRouter.ASN,
        "localASN": 64512,
        "passwordSecretRef": {"name": "rack-1-bgp"},
    }
    return {
        "apiVersion": GROUP,
        "kind": "BGPPeer",
        "metadata": {"name": name},
        "spec": given | spec,
    }


def secret(password=PASSWORD):
    data = {"password": base64.b64encode(password.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "rack-1-bgp"}, "data": data}


@contextlib.asynccontextmanager
async def announcing(world):
    """A LoadBalancer with a peer, as far as its pod programs it; gives pod and router."""
    world.create("v1", "services", service(world.namespace, "web"))
    world.create(
        "discovery.k8s.io/v1", "endpointslices", endpoint_slice(world.namespace, "web", "10.244.0.5")
    )
    body = load_balancer(octet=OCTET)
    body["spec"]["advertisement"] = {"bgpPeers": ["rack-1"]}
    world.create(GROUP, "loadbalancers", body)
    await world.start_operator()
    await world.until_pod(POD)
    folder = world.pod_folder(POD)
    net = PodAndRouter(folder, folder / "bird", password=PASSWORD, nics=[f"10.77.{OCTET}.1/24"])
    try:
        net.start()
        # Without a gateway that answers no VIP is announced.
        world.start_forwarder(POD).add_gateway(f"10.77.{OCTET}.1/24")
        world.start_agent(POD)
        await world.until_condition("Programmed", "True")
        world.set_ready(POD)
        yield net
    finally:
        net.stop()


async def until_routes(net, *vips):
    wanted = {vip: {NIC_ADDRESS} for vip in vips}
    await eventually(lambda: net.routes() == wanted, f"routes {wanted}", 40)


async def test_a_vip_is_announced_once_peer_and_secret_are_there(world, caplog):
    async with announcing(world) as net:
        found = await world.until_condition("ResolvedRefs", "False", "BGPPeerNotFound")
        assert f"{world.namespace}/rack-1" in found["message"]
        world.create(GROUP, "bgppeers", peer())
        found = await world.until_condition("ResolvedRefs", "False", "BGPPasswordUnusable")
        assert f"Secret {world.namespace}/rack-1-bgp does not exist" in found["message"]
        await world.until_condition("Advertised", "False", "PeersDown")
        assert net.routes() == {}
        world.create("v1", "secrets", secret())
        await world.operator.cluster.passwords.refresh()
        found = await world.until_condition("Advertised", "True", "Advertised")
        assert found["message"] == f"pod {POD} announces {VIP} to rack-1"
        assert net.routes() == {VIP: {NIC_ADDRESS}}
        await world.until_condition("Ready", "True")
        for kind in ("configmaps", "statefulsets", "pods", "events"):
            version = {"statefulsets": "apps/v1", "events": "events.k8s.io/v1"}.get(kind, "v1")
            assert PASSWORD not in json.dumps(world.api.request("GET", world.path(version, kind)))
        assert PASSWORD not in json.dumps(world.load_balancer())
        assert PASSWORD not in caplog.text


async def test_status_follows_the_session_and_the_backends(world):
    world.create("v1", "secrets", secret())
    world.create(GROUP, "bgppeers", peer())
    async with announcing(world) as net:
        await world.until_condition("Advertised", "True", "Advertised")
        session = net.session()
        world.delete("discovery.k8s.io/v1", "endpointslices", "web-1")
        found = await world.until_condition("Advertised", "False", "Withheld")
        assert f"withholds {VIP}" in found["message"]
        assert net.routes() == {}
        assert net.session() == session
        net.router.kill()
        found = await world.until_condition("Advertised", "False", "PeersDown")
        assert "rack-1 (10.99.0.1)" in found["message"]


async def test_another_password_is_taken_and_a_peer_that_goes_ends_the_session(world):
    world.create("v1", "secrets", secret("not the router's"))
    world.create(GROUP, "bgppeers", peer())
    async with announcing(world) as net:
        await world.until_condition("Advertised", "False", "PeersDown")
        world.change("v1", "secrets", "rack-1-bgp", lambda body: body.update(secret()))
        await world.operator.cluster.passwords.refresh()
        await until_routes(net, VIP)
        world.delete(GROUP, "bgppeers", "rack-1")
        await until_routes(net)
        await world.until_condition("ResolvedRefs", "False", "BGPPeerNotFound")
        world.change(GROUP, "loadbalancers", "edge", lambda body: body["spec"].pop("advertisement"))
        await world.until_condition("Advertised", "True", "StaticRoute")


async def until_told(world, text):
    await eventually(lambda: text in world.condition("Advertised").get("message", ""), text, 40)


def label_node(world, label):
    world.api.kubectl("label", "node", NODE, label)


async def test_a_pod_has_the_routers_of_its_node(world):
    world.create("v1", "secrets", secret())
    world.create(GROUP, "bgppeers", peer(nodeSelector={"matchLabels": {"rack": world.namespace}}))
    async with announcing(world) as net:
        await until_told(world, f"pod {POD} is on no node yet, as far as is known")
        target = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": POD}, "target": {"name": NODE}}
        world.api.request("POST", world.path("v1", "pods", f"{POD}/binding"), target)
        await until_told(world, f"pod {POD} is on a node that the nodeSelector of no BGPPeer selects")
        try:
            label_node(world, f"rack={world.namespace}")
            await until_routes(net, VIP)
            await world.until_condition("Advertised", "True", "Advertised")
        finally:
            label_node(world, "rack-")
        await until_routes(net)


async def test_a_service_of_type_load_balancer_is_announced_too(world):
    world.create("v1", "secrets", secret())
    world.create(GROUP, "bgppeers", peer())
    pool = world.add_pool("203.0.113.77-203.0.113.77")
    async with announcing(world) as net:
        await until_routes(net, VIP)
        session = net.session()
        world.change(
            GROUP, "loadbalancers", "edge", lambda body: body["spec"].update(services={"pools": [pool]})
        )
        mail = service(world.namespace, "mail")
        mail["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "skylane.dev/edge"}
        world.create("v1", "services", mail)
        slice_ = endpoint_slice(world.namespace, "mail", "10.244.0.6")
        world.create("discovery.k8s.io/v1", "endpointslices", slice_)
        await until_routes(net, VIP, "203.0.113.77")
        assert net.session() == session
        await eventually(
            lambda: "203.0.113.77" in world.condition("Advertised").get("message", ""), "the status", 20
        )


async def test_a_restarted_operator_finds_all_as_it_was(world):
    world.create("v1", "secrets", secret())
    world.create(GROUP, "bgppeers", peer())
    async with announcing(world) as net:
        await world.until_condition("Ready", "True")
        await eventually(lambda: not len(world.operator.term.status), "the last write")
        session, version = net.session(), world.load_balancer()["metadata"]["resourceVersion"]
        port = world.operator.term.grpc_port
        await world.stop_operator()
        await world.start_operator(port)
        await eventually(
            lambda: (state := world.agent_state(POD)) and state.advertisement, "the agent's word", 20
        )
        looked = lambda: not len(world.operator.term.queue) and not len(world.operator.term.status)  # noqa: E731
        await eventually(looked, "the operator's look")
        assert net.session() == session
        assert world.load_balancer()["metadata"]["resourceVersion"] == version
