"""Which of two pods the VIPs are granted to, with a real API server, real agents and real forwarders."""

import json

import pytest
from operator_support import eventually
from services_world import add_service

pytestmark = pytest.mark.apiserver

PODS = ["edge-skylane-0", "edge-skylane-1"]


def grants(world):
    """What the listeners on disk say, of the LoadBalancer's own and of the Service, by pod."""
    folders = [world.pod_folder(pod) / "config" / "listeners" for pod in PODS]
    return [
        sorted(json.loads(file.read_text())["arp"] for file in folder.glob("*.json")) for folder in folders
    ]


async def serving(world):
    world.add_load_balancer(replicas=2, services=("web",), pools=[world.add_pool("192.0.2.8/30")])
    add_service(world, "other")
    await world.start_operator()
    for pod in PODS:
        await world.until_pod(pod)
        world.start_forwarder(pod)
        world.start_agent(pod)
        world.set_ready(pod)
    await eventually(lambda: sorted(grants(world)) == [[False] * 2, [True] * 2], "one owner", 40)
    return grants(world).index([True] * 2)


async def test_the_vips_follow_a_pod_that_is_not_ready_and_stay(world):
    owner = await serving(world)
    moved = [[True] * 2 if ordinal != owner else [False] * 2 for ordinal in (0, 1)]
    world.set_ready(PODS[owner], "False")
    await eventually(lambda: grants(world) == moved, "the other owner", 40)
    world.set_ready(PODS[owner])
    await world.until_service_condition("Programmed", "True", name="other")
    assert grants(world) == moved
    # A new operator learns from the agents who owns them.
    port = world.operator.term.grpc_port
    await world.stop_operator()
    await world.start_operator(port)
    await eventually(lambda: world.operator.term._settled, "settled", 40)
    assert grants(world) == moved


async def test_the_vips_stay_while_the_agent_is_away(world):
    owner = await serving(world)
    before = grants(world)
    await world.stop_agent(PODS[owner])
    await eventually(lambda: not world.agent_state(PODS[owner]).connected, "the agent's end")
    await world.until_condition("Programmed", "False", "AgentNotConnected")
    assert grants(world) == before
    world.start_agent(PODS[owner])
    await world.until_condition("Programmed", "True")
    assert grants(world) == before
