"""The Gateway API: from a Gateway and its routes to listeners in a real forwarder, and back to their statuses."""

import asyncio
import json

import pytest
from gateway_world import GatewayWorld
from operator_support import endpoint_slice, eventually, service

from cluster.gateway_api import definitions
from skylane_operator.kube.client import KubeClient

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
SLICES = ("discovery.k8s.io/v1", "endpointslices")


@pytest.fixture(scope="session")
def gateway_api(control_plane):
    for definition in definitions():
        control_plane.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=20s", "crd", "--all")
    return control_plane


@pytest.fixture
async def world(gateway_api, tmp_path):
    async with await KubeClient.connect(gateway_api.kubeconfig) as client:
        world = GatewayWorld(gateway_api, client, tmp_path)
        world.add_class()
        try:
            yield world
        finally:
            await world.aclose()
            await asyncio.to_thread(world.delete_class)
            await asyncio.to_thread(world.delete_namespace)


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
