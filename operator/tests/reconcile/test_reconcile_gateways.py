"""The Gateway API: from a Gateway and its routes to listeners in a real forwarder, and back to their statuses."""

import asyncio
import json

import pytest
from gateway_world import GatewayWorld
from operator_support import endpoint_slice, eventually, service

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
SLICES = ("discovery.k8s.io/v1", "endpointslices")


@pytest.fixture
def world(gateway_world):
    return gateway_world


def add_service(world, name="web", *addresses, **kwargs):
    world.create("v1", "services", service(world.namespace, name))
    world.create(*SLICES, endpoint_slice(world.namespace, name, *(addresses or ("10.244.0.5",)), **kwargs))


def listeners_on_disk(world):
    folder = world.pod_folder(POD) / "config" / "listeners"
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def served(world):
    """(address, port, protocol) to the endpoints that the pod's files name, with their weights."""
    return {
        (one["vip"], one["port"], one["protocol"]): {
            backend["address"]: backend["weight"] for backend in one["backends"]
        }
        for one in listeners_on_disk(world)
    }


async def serving(world, *listeners, pool=("192.0.2.8/30",), **spec):
    """A load balancer without listeners of its own, a pool and one Gateway with a pod that runs it."""
    world.add_load_balancer(services=(), pools=[world.add_pool(*pool)])
    world.add_gateway("front", *listeners, **spec)
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    await world.until_gateway("Programmed", "True", "Programmed")


async def test_from_a_gateway_and_a_route_to_a_programmed_forwarder(world):
    add_service(world, "web", "10.244.0.5", "10.244.0.6")
    world.add_route("web")
    await serving(world)
    assert served(world) == {("192.0.2.8", 80, "tcp"): {"10.244.0.5": 1, "10.244.0.6": 1}}
    await world.until_route("Accepted", "True", "Accepted")
    await world.until_route("ResolvedRefs", "True", "ResolvedRefs")
    await world.until_class("True", "Accepted")
    status = world.read("Gateway", "front")["status"]
    assert status["addresses"] == [{"type": "IPAddress", "value": "192.0.2.8"}]
    (listener,) = status["listeners"]
    assert listener["supportedKinds"] == [{"group": "gateway.networking.k8s.io", "kind": "TCPRoute"}]
    assert listener["attachedRoutes"] == 1
    assert {one["type"]: one["status"] for one in listener["conditions"]} == {
        "Accepted": "True",
        "Conflicted": "False",
        "ResolvedRefs": "True",
        "Programmed": "True",
    }
    await eventually(lambda: world.pool()["status"].get("assigned") == 1, "the count of the pool")


async def test_endpoints_weights_and_listeners_reach_the_forwarder(world):
    add_service(world, "web")
    add_service(world, "canary", "10.244.0.9")
    world.add_route("web", {"name": "web", "port": 80, "weight": 9}, {"name": "canary", "port": 80})
    await serving(world)
    assert served(world) == {("192.0.2.8", 80, "tcp"): {"10.244.0.5": 9, "10.244.0.9": 1}}
    wanted = endpoint_slice(world.namespace, "web", "10.244.0.7")["endpoints"]
    world.change(*SLICES, "web-1", lambda body: body.update(endpoints=wanted))
    await eventually(
        lambda: served(world) == {("192.0.2.8", 80, "tcp"): {"10.244.0.7": 9, "10.244.0.9": 1}},
        "the new endpoint",
    )
    more = {"name": "dns", "protocol": "UDP", "port": 53}
    world.edit("Gateway", "front", lambda body: body["spec"]["listeners"].append(more))
    await eventually(lambda: served(world).get(("192.0.2.8", 53, "udp")) == {}, "a listener without a route")
    await world.until_gateway("Programmed", "True", "Programmed", listener="dns")
    ports = [{"name": "p53", "port": 53, "protocol": "UDP"}]
    world.create("v1", "services", service(world.namespace, "dns", ports=ports))
    piece = endpoint_slice(world.namespace, "dns", "10.244.0.53")
    world.create(*SLICES, piece | {"ports": [{"name": "p53", "port": 5353, "protocol": "UDP"}]})
    world.add_route("dns", {"name": "dns", "port": 53}, kind="UDPRoute", sectionName="dns")
    await world.until_route("ResolvedRefs", "True", "ResolvedRefs", "dns", route="UDPRoute")
    await eventually(lambda: served(world)[("192.0.2.8", 53, "udp")] == {"10.244.0.53": 1}, "the UDP route")
    world.remove("TCPRoute", "web")
    await eventually(lambda: served(world)[("192.0.2.8", 80, "tcp")] == {}, "the end of the route")


async def test_what_a_route_refers_to_may_come_later_and_go(world):
    world.add_route("web")
    await serving(world)
    fault = await world.until_route("ResolvedRefs", "False", "BackendNotFound")
    assert f"Service {world.namespace}/web does not exist" in fault["message"]
    add_service(world)
    await world.until_route("ResolvedRefs", "True", "ResolvedRefs")
    await eventually(lambda: served(world) == {("192.0.2.8", 80, "tcp"): {"10.244.0.5": 1}}, "the endpoint")
    world.delete("v1", "services", "web")
    await world.until_route("ResolvedRefs", "False", "BackendNotFound")
    await eventually(lambda: served(world) == {("192.0.2.8", 80, "tcp"): {}}, "no endpoint")


async def test_a_service_of_another_namespace_needs_a_grant(world):
    other = GatewayWorld(world.api, world.client, world.folder)
    try:
        add_service(other)
        await refers_across(world, other)
    finally:
        await world.stop_operator()
        await asyncio.to_thread(other.delete_namespace)


async def refers_across(world, other):
    world.watched = (world.namespace, other.namespace)
    world.add_route("web", {"name": "web", "namespace": other.namespace, "port": 80})
    await serving(world)
    await world.until_route("ResolvedRefs", "False", "RefNotPermitted")
    assert served(world) == {("192.0.2.8", 80, "tcp"): {}}
    source = {"group": "gateway.networking.k8s.io", "kind": "TCPRoute", "namespace": world.namespace}
    other.add("ReferenceGrant", "routes", **{"from": [source], "to": [{"group": "", "kind": "Service"}]})
    await world.until_route("ResolvedRefs", "True", "ResolvedRefs")
    await eventually(lambda: served(world) == {("192.0.2.8", 80, "tcp"): {"10.244.0.5": 1}}, "the endpoint")
    other.remove("ReferenceGrant", "routes")
    await world.until_route("ResolvedRefs", "False", "RefNotPermitted")
    await eventually(lambda: served(world) == {("192.0.2.8", 80, "tcp"): {}}, "no endpoint")


async def test_entries_of_other_controllers_stay_in_a_routes_status(world):
    add_service(world)
    world.add_route("web")
    other = {
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "elsewhere"},
        "controllerName": "example.com/other",
        "conditions": [
            {
                "type": "Accepted",
                "status": "True",
                "reason": "Accepted",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }

    def write(body):
        body.setdefault("status", {}).setdefault("parents", []).append(other)

    await serving(world)
    await world.until_route("Accepted", "True", "Accepted")
    world.edit("TCPRoute", "web", write, "status")
    world.edit("TCPRoute", "web", lambda body: body["spec"]["parentRefs"][0].update(port=81))
    await world.until_route("Accepted", "False", "NoMatchingParent")
    parents = world.read("TCPRoute", "web")["status"]["parents"]
    assert [one["controllerName"] for one in parents] == [
        "example.com/other",
        "skylane.dev/gateway-controller",
    ]
    assert parents[0] == other
    world.remove("Gateway", "front")
    await eventually(
        lambda: world.read("TCPRoute", "web")["status"]["parents"] == [other], "the end of our entry"
    )


async def test_a_gateway_that_goes_gives_its_address_back(world):
    await serving(world, pool=["192.0.2.8/32"])
    world.add_gateway("late")
    await world.until_gateway("Programmed", "False", "AddressNotAssigned", name="late")
    world.remove("Gateway", "front")
    await world.until_gateway("Programmed", "True", "Programmed", name="late")
    assert list(served(world)) == [("192.0.2.8", 80, "tcp")]
    world.edit("Gateway", "late", lambda body: body["spec"].update(gatewayClassName="others"))
    await eventually(lambda: served(world) == {}, "the listener's end")
    await eventually(
        lambda: "addresses" not in world.read("Gateway", "late")["status"], "the end of our status"
    )


async def test_a_gateway_and_a_service_take_from_the_same_pool(world):
    await serving(world)
    world.create(
        "v1",
        "services",
        service(
            world.namespace,
            "front",
            type="LoadBalancer",
            loadBalancerClass="skylane.dev/edge",
            allocateLoadBalancerNodePorts=False,
        ),
    )
    await world.until_service_condition("Programmed", "True", name="front")
    assert set(served(world)) == {("192.0.2.8", 80, "tcp"), ("192.0.2.9", 80, "tcp")}
    asked = [{"type": "IPAddress", "value": "192.0.2.9"}]
    world.add_gateway("taken", addresses=asked)
    refused = await world.until_gateway("Programmed", "False", "AddressNotUsable", name="taken")
    assert f"192.0.2.9 belongs to Service {world.namespace}/front" in refused["message"]


async def test_restarted_operator_disturbs_no_gateway_and_moves_no_address(world):
    add_service(world)
    world.add_route("web", gateway="other")
    await serving(world)
    world.add_gateway("other")
    await world.until_gateway("Programmed", "True", "Programmed", name="other")
    await world.until_route("Accepted", "True", "Accepted")
    world.remove("Gateway", "front")  # a lower address is free now: nobody moves there
    await eventually(lambda: list(served(world)) == [("192.0.2.9", 80, "tcp")], "one listener")
    before = listeners_on_disk(world)
    versions = [
        world.read(kind, name)["metadata"]["resourceVersion"]
        for kind, name in (("Gateway", "other"), ("TCPRoute", "web"))
    ]
    port = world.operator.term.grpc_port
    await world.stop_operator()
    await world.start_operator(port)
    await eventually(
        lambda: (world.agent_state(POD) or None) and world.agent_state(POD).connected, "the agent"
    )
    await eventually(lambda: world.operator.term._settled, "settled", 40)
    assert listeners_on_disk(world) == before
    assert versions == [
        world.read(kind, name)["metadata"]["resourceVersion"]
        for kind, name in (("Gateway", "other"), ("TCPRoute", "web"))
    ]


async def test_a_class_whose_load_balancer_is_not_there(world):
    world.add_gateway()
    await world.start_operator()
    await world.until_class("False", "InvalidParameters")
    refused = await world.until_gateway("Accepted", "False", "InvalidParameters")
    assert f"LoadBalancer {world.namespace}/edge does not exist" in refused["message"]
    world.add_load_balancer(services=(), pools=[world.add_pool("192.0.2.8/30")])
    await world.until_class("True", "Accepted")
    await world.until_gateway("Accepted", "True", "Accepted")
    await world.until_gateway("Programmed", "False", "Pending")


async def test_listeners_that_cannot_be_served_are_told_and_the_others_are_served(world):
    kinds = {"allowedRoutes": {"kinds": [{"kind": "HTTPRoute"}, {"kind": "TCPRoute"}]}}
    world.add_route("web", sectionName="http-8080")
    await serving(world, (8080, "HTTP", {}), (80, "TCP", kinds))
    await world.until_gateway("Accepted", "True", "ListenersNotValid")
    await world.until_gateway("Accepted", "False", "UnsupportedProtocol", listener="http-8080")
    await world.until_gateway("ResolvedRefs", "False", "InvalidRouteKinds", listener="tcp-80")
    await world.until_route("Accepted", "False", "NotAllowedByListeners")
    listeners = world.read("Gateway", "front")["status"]["listeners"]
    assert [(one["attachedRoutes"], len(one["supportedKinds"])) for one in listeners] == [(0, 0), (0, 1)]
    assert list(served(world)) == [("192.0.2.8", 80, "tcp")]


async def test_routes_of_other_namespaces_by_label(world):
    add_service(world)
    world.add_route("web")
    selector = {"from": "Selector", "selector": {"matchLabels": {"team": "edge"}}}
    await serving(world, (80, "TCP", {"allowedRoutes": {"namespaces": selector}}))
    await world.until_route("Accepted", "False", "NotAllowedByListeners")
    path = f"/api/v1/namespaces/{world.namespace}"
    namespace = world.api.request("GET", path)
    namespace["metadata"]["labels"]["team"] = "edge"
    world.api.request("PUT", path, namespace)
    await world.until_route("Accepted", "True", "Accepted")
    await eventually(lambda: served(world) == {("192.0.2.8", 80, "tcp"): {"10.244.0.5": 1}}, "the endpoint")
