"""The mass-removal guard, from EndpointSlices of a real API server to the files of a pod, and to what users are told."""

import pytest
from operator_support import endpoint_slice, eventually, service
from operator_world import load_balancer
from services_world import POD, SLICES, add_service, served, serving

pytestmark = pytest.mark.apiserver

ADDRESSES = [f"10.244.0.{number}" for number in range(5, 15)]
GUARD = "skylane.dev/mass-removal-guard"
SERVED_AT = ("192.0.2.8", 80)


def becomes(world, *addresses, name="web"):
    wanted = endpoint_slice(world.namespace, name, *addresses)["endpoints"]
    world.change(*SLICES, f"{name}-1", lambda body: body.update(endpoints=wanted))


async def until_served(world, addresses):
    await eventually(
        lambda: served(world).get(SERVED_AT) == list(addresses), f"{len(addresses)} backends", 20
    )


async def guarded(world, confirm_s):
    """A Service of ten endpoints whose guard waits so long."""
    annotations = {f"{GUARD}-max-share-percent": "40", f"{GUARD}-confirm-seconds": str(confirm_s)}
    await serving(world, *ADDRESSES, annotations=annotations)
    await world.until_service_condition("BackendsHealthy", "True", "EndpointsReady")


def events(world, reason):
    found = world.api.request("GET", world.path("events.k8s.io/v1", "events"))["items"]
    return [one for one in found if one["reason"] == reason]


async def test_a_mass_removal_is_held_told_and_followed_once_it_has_lasted(world):
    await guarded(world, 5)
    becomes(world, ADDRESSES[0], "10.244.1.1")
    await until_served(world, [*ADDRESSES, "10.244.1.1"])
    found = await world.until_service_condition("BackendsHealthy", "False", "MassRemovalHeld")
    assert "8 of 10 endpoints would be lost at once, more than 40 %; 9 that are not ready" in found["message"]
    await eventually(lambda: events(world, "MassRemovalHeld"), "the event")
    # Nothing changes any more, and nobody else has it looked at.
    await until_served(world, [ADDRESSES[0], "10.244.1.1"])
    await world.until_service_condition("BackendsHealthy", "True", "EndpointsReady")


async def test_what_comes_back_ends_the_hold(world):
    await guarded(world, 3600)
    becomes(world, *ADDRESSES[:8])  # 20 %: at once
    await until_served(world, ADDRESSES[:8])
    becomes(world)
    await world.until_service_condition("BackendsHealthy", "False", "MassRemovalHeld")
    assert served(world) == {SERVED_AT: ADDRESSES[:8]}
    becomes(world, *ADDRESSES[:6])
    await until_served(world, ADDRESSES[:6])
    await world.until_service_condition("BackendsHealthy", "True", "EndpointsReady")


async def test_an_operator_that_starts_while_something_is_held_knows_nothing_of_it(world):
    await guarded(world, 3600)
    becomes(world, ADDRESSES[0])
    await world.until_service_condition("BackendsHealthy", "False", "MassRemovalHeld")
    port = world.operator.term.grpc_port
    await world.stop_operator()
    assert served(world) == {SERVED_AT: ADDRESSES}
    await world.start_operator(port)
    await until_served(world, ADDRESSES[:1])
    await world.until_service_condition("BackendsHealthy", "True", "EndpointsReady")


async def test_to_delete_a_service_is_not_held_and_what_bears_its_name_begins_anew(world):
    await guarded(world, 3600)
    becomes(world)
    await world.until_service_condition("BackendsHealthy", "False", "MassRemovalHeld")
    world.delete("v1", "services", "web")
    await eventually(lambda: served(world) == {}, "the end of the listener")
    world.delete(*SLICES, "web-1")
    add_service(world, "web", "10.244.2.1", annotations={f"{GUARD}-max-share-percent": "40"})
    await until_served(world, ["10.244.2.1"])


async def test_a_listener_of_a_load_balancer_has_its_guard_too(world):
    world.create("v1", "services", service(world.namespace, "web"))
    world.create(*SLICES, endpoint_slice(world.namespace, "web", *ADDRESSES))
    body = load_balancer()
    body["spec"]["listeners"][0]["massRemovalGuard"] = {"maxSharePercent": 40, "confirmSeconds": 5}
    world.create("skylane.dev/v1alpha1", "loadbalancers", body)
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    await world.until_condition("Programmed", "True")
    world.set_ready(POD)
    await world.until_condition("Ready", "True")
    becomes(world, ADDRESSES[0])
    await world.until_condition("BackendsHealthy", "False", "MassRemovalHeld")
    status = world.load_balancer()["status"]["listeners"][0]
    assert (status["backends"], status["heldBackends"]) == (10, 9)
    assert world.condition("Ready")["status"] == "True"
    await eventually(lambda: list(served(world).values()) == [ADDRESSES[:1]], "what has lasted", 40)
    await world.until_condition("BackendsHealthy", "True", "EndpointsReady")
    assert "heldBackends" not in world.load_balancer()["status"]["listeners"][0]
