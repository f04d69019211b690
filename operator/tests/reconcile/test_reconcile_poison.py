"""Objects that cannot be read, of every kind that we watch, beside good ones: on a real API server."""

import contextlib
import copy
import urllib.error

import pytest
from operator_support import endpoint_slice, eventually
from schemas_world import Poison, definition, replace_schemas, without_schemas
from services_world import POD, SLICES, add_service, addresses_of, served

pytestmark = pytest.mark.apiserver

BALANCERS = "loadbalancers", "skylane.dev"
BALANCER = "skylane.dev/v1alpha1", "loadbalancers", "edge"


@pytest.fixture
def world(gateway_world):
    return gateway_world


async def serving(world):
    """A LoadBalancer with a listener, a Service and a Gateway, in one forwarder."""
    add_service(
        world,
        "own",
        "10.244.0.4",
        type="ClusterIP",
        loadBalancerClass=None,
        allocateLoadBalancerNodePorts=None,
    )
    world.add_load_balancer(services=("own",), octet=7, pools=[world.add_pool("192.0.2.8/29")])
    add_service(world, "web", "10.244.0.5")
    world.add_gateway()
    world.add_route()
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    await world.until_service_condition("Programmed", "True")
    await world.until_gateway("Programmed", "True", "Programmed")
    await eventually(lambda: len(served(world)) == 3, "all listeners")


async def until_endpoints_reach_the_forwarder(world, *addresses, services=("own", "web"), listeners=3):
    def change(body):
        body["endpoints"] = [{"addresses": [one], "conditions": {"ready": True}} for one in addresses]

    for name in services:
        world.change(*SLICES, f"{name}-1", change)
    wanted = sorted(addresses)

    def arrived():
        return list(served(world).values()).count(wanted) == listeners

    await eventually(arrived, "the endpoints", 20)


async def until_knob_is_taken(world):
    """The API server prunes what its schema of before does not know, for a moment."""

    def taken():
        with contextlib.suppress(urllib.error.HTTPError):  # the status has just been written
            world.change(*BALANCER, lambda body: body["spec"].update(newKnob="x"))
        return "newKnob" in world.load_balancer()["spec"]

    await eventually(taken, "the newer schema")


async def test_what_nobody_can_read_disturbs_nobody(world):
    await serving(world)
    poison = Poison(world)
    with without_schemas(world.api):
        await poison.add()
        try:
            found = await world.until_condition("Accepted", "False", "Invalid", name="poison-new")
            assert "spec.replicas" in found["message"]
            await until_endpoints_reach_the_forwarder(world, "10.244.0.6", "10.244.0.7")
            assert not world._operator_task.done()
            before = served(world)
            # What had to be seen by the watches is in the lists now.
            await world.stop_operator()
            await world.start_operator()
            assert served(world) == before
            add_service(world, "late", "10.244.0.8")
            await world.until_service_condition("AddressAssigned", "True", name="late")
        finally:
            poison.remove()
    assert served(world).items() >= before.items()
    assert len(addresses_of(world, "web")) == 1


async def test_what_is_stored_when_a_schema_comes_disturbs_nobody(world):
    await serving(world)
    poison = Poison(world)
    with without_schemas(world.api):
        await poison.add()
    try:
        # The API server itself takes no status for those any more: it is tried again seldom, and for nobody else.
        await until_endpoints_reach_the_forwarder(world, "10.244.0.6")
        await world.until_gateway("Programmed", "True", "Programmed")
    finally:
        poison.remove()


async def test_ports_and_conditions_that_the_api_server_takes_and_nobody_can_use(world):
    await serving(world)
    running = served(world)
    odd = endpoint_slice(world.namespace, "web", "10.244.0.9", target=70000)
    odd["metadata"]["name"] = "web-odd"
    world.create(*SLICES, odd)

    def add_condition(body):
        others = {
            "type": "example.com/Odd",
            "status": "True",
            "lastTransitionTime": None,
            "reason": "A",
            "message": "",
        }
        body["status"]["conditions"].append(others)

    world.change("v1", "services", "web", add_condition, "status")
    assert world.service()["status"]["conditions"][-1]["lastTransitionTime"] is None
    await until_endpoints_reach_the_forwarder(world, "10.244.0.6")
    assert served(world).keys() == running.keys()


async def test_a_crd_is_replaced_under_a_running_operator(world):
    await serving(world)
    schema = {one["name"]: one["schema"] for one in definition(world.api, *BALANCERS)["spec"]["versions"]}
    newer = copy.deepcopy(schema)
    spec = newer["v1alpha1"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["newKnob"] = {"type": "string"}
    generations = world.agent_state(POD).listeners
    replace_schemas(world.api, *BALANCERS, newer)
    try:
        await until_endpoints_reach_the_forwarder(world, "10.244.0.6")
        assert world.agent_state(POD).base_generation
        assert world.agent_state(POD).listeners.keys() == generations.keys()
        await until_knob_is_taken(world)
        # An older operator says what it does not know, and what runs goes on.
        found = await world.until_condition("Accepted", "False", "Invalid")
        assert "spec.newKnob" in found["message"]
        await until_endpoints_reach_the_forwarder(world, "10.244.0.7", services=("web",), listeners=2)
        world.change(*BALANCER, lambda body: body["spec"].pop("newKnob"))
        await world.until_condition("Accepted", "True")
        await until_endpoints_reach_the_forwarder(world, "10.244.0.8")
    finally:
        replace_schemas(world.api, *BALANCERS, schema)
    world.change(*BALANCER, lambda body: body["spec"]["listeners"][0].update(port=81))
    await eventually(
        lambda: ("198.51.7.10", 81) in served(world), "a change after the CRD of before is back", 20
    )
