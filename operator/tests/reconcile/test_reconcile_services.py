"""Services of type LoadBalancer: from the object to a listener in a real forwarder, and back."""

import pytest
from operator_support import endpoint_slice, eventually
from services_world import POD, SLICES, add_service, addresses_of, listeners_on_disk, served, serving

pytestmark = pytest.mark.apiserver


async def test_from_a_service_to_a_programmed_forwarder(world):
    await serving(world, "10.244.0.5", "10.244.0.6")
    assert addresses_of(world) == [{"ip": "192.0.2.8", "ipMode": "VIP"}]
    assert served(world) == {("192.0.2.8", 80): ["10.244.0.5", "10.244.0.6"]}
    world.set_ready(POD)
    await world.until_condition("Ready", "True")
    assert world.load_balancer()["status"]["services"] == 1
    await eventually(lambda: world.pool()["status"].get("assigned") == 1, "the count of the pool")
    assert (world.pool()["status"]["size"], world.pool()["status"]["available"]) == (4, 3)


async def test_endpoints_ports_and_annotations_reach_the_forwarder(world):
    await serving(world)
    wanted = endpoint_slice(world.namespace, "web", "10.244.0.7")["endpoints"]
    world.change(*SLICES, "web-1", lambda body: body.update(endpoints=wanted))
    await eventually(lambda: served(world) == {("192.0.2.8", 80): ["10.244.0.7"]}, "the new endpoint")

    def more(body):
        body["spec"]["ports"].append({"name": "p443", "port": 443, "protocol": "TCP"})
        body["metadata"]["annotations"] = {"skylane.dev/scheduler": "mh"}

    world.change("v1", "services", "web", more)
    await eventually(lambda: len(served(world)) == 2, "the second port")
    await eventually(lambda: {one["scheduler"] for one in listeners_on_disk(world)} == {"mh"}, "mh")
    await world.until_service_condition("Programmed", "True")


async def test_a_pod_that_terminates_drains_until_it_is_gone(world):
    """What the EndpointSlice controller writes while a Service is scaled down."""
    await serving(world, "10.244.0.5", "10.244.0.6")

    def becomes(**conditions):
        def alter(body):
            body["endpoints"][1]["conditions"] = conditions

        world.change(*SLICES, "web-1", alter)

    def weights():
        (listener,) = listeners_on_disk(world)
        return {backend["address"]: backend["weight"] for backend in listener["backends"]}

    becomes(ready=False, serving=True, terminating=True)
    await eventually(lambda: weights() == {"10.244.0.5": 1, "10.244.0.6": 0}, "the drain")
    await world.until_service_condition("Programmed", "True")
    becomes(ready=False, serving=False, terminating=True)
    await eventually(lambda: weights() == {"10.244.0.5": 1}, "its end")
    annotations = {"skylane.dev/terminating-endpoints": "Remove"}
    world.change("v1", "services", "web", lambda body: body["metadata"].update(annotations=annotations))
    becomes(ready=True, serving=True, terminating=False)
    await eventually(lambda: weights() == {"10.244.0.5": 1, "10.244.0.6": 1}, "both")
    becomes(ready=False, serving=True, terminating=True)
    await eventually(lambda: weights() == {"10.244.0.5": 1}, "the removal at once")


async def test_the_last_pods_of_a_service_serve_while_they_terminate(world):
    await serving(world, "10.244.0.5")
    leaving = {"ready": False, "serving": True, "terminating": True}
    world.change(*SLICES, "web-1", lambda body: body["endpoints"][0].update(conditions=leaving))
    added = endpoint_slice(world.namespace, "web", "10.244.0.6")
    added["metadata"]["name"] = "web-2"
    added["endpoints"][0]["conditions"] = leaving
    world.create(*SLICES, added)
    await eventually(lambda: served(world) == {("192.0.2.8", 80): ["10.244.0.5", "10.244.0.6"]}, "both")
    weights = [backend["weight"] for one in listeners_on_disk(world) for backend in one["backends"]]
    assert weights == [1, 1]


async def test_a_service_that_goes_gives_its_address_back(world):
    await serving(world, pool=["192.0.2.8/32"])
    add_service(world, "late")
    await world.until_service_condition("AddressAssigned", "False", "PoolExhausted", name="late")
    world.delete("v1", "services", "web")
    await world.until_service_condition("Programmed", "True", name="late")
    assert addresses_of(world, "late") == [{"ip": "192.0.2.8", "ipMode": "VIP"}]
    assert len(served(world)) == 1


async def test_a_service_that_is_no_load_balancer_any_more_is_withdrawn(world):
    await serving(world)

    def alter(body):
        body["spec"]["type"] = "ClusterIP"
        for field in ("loadBalancerClass", "allocateLoadBalancerNodePorts", "externalTrafficPolicy"):
            body["spec"].pop(field, None)

    world.change("v1", "services", "web", alter)
    await eventually(lambda: served(world) == {}, "the listener's end")
    await eventually(
        lambda: not world.service()["status"].get("conditions") and not addresses_of(world), "a clean status"
    )


async def test_restarted_operator_disturbs_no_service_and_moves_no_address(world):
    await serving(world)
    add_service(world, "other")
    await world.until_service_condition("Programmed", "True", name="other")
    world.delete("v1", "services", "web")  # a lower address is free now: nobody moves there
    await eventually(lambda: list(served(world)) == [("192.0.2.9", 80)], "one listener")
    before, version = listeners_on_disk(world), world.service("other")["metadata"]["resourceVersion"]
    port = world.operator.term.grpc_port
    await world.stop_operator()
    await world.start_operator(port)
    await eventually(
        lambda: (world.agent_state(POD) or None) and world.agent_state(POD).connected, "the agent"
    )
    await eventually(lambda: world.operator.term._settled, "settled", 40)
    assert listeners_on_disk(world) == before
    assert world.service("other")["metadata"]["resourceVersion"] == version


async def test_two_pods_serve_and_one_answers_arp(world):
    world.add_load_balancer(replicas=2, services=(), pools=[world.add_pool("192.0.2.8/30")])
    add_service(world)
    await world.start_operator()
    pods = [POD, "edge-skylane-1"]
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    world.set_ready(POD)
    await world.until_service_condition("Programmed", "False", "GenerationPending")
    await world.until_pod(pods[1])
    world.start_forwarder(pods[1])
    world.start_agent(pods[1])
    await world.until_service_condition("Programmed", "True")
    assert [[one["arp"] for one in listeners_on_disk(world, pod)] for pod in pods] == [[True], [False]]


async def test_a_listener_may_not_take_an_address_that_a_service_has(world):
    await serving(world)

    def claim(body):
        listener = {
            "name": "own",
            "vip": "192.0.2.8",
            "port": 80,
            "backends": [{"service": "web", "port": 80}],
        }
        body["spec"]["listeners"] = [listener]

    world.change("skylane.dev/v1alpha1", "loadbalancers", "edge", claim)
    refused = await world.until_condition("Accepted", "False", "AddressConflict")
    assert f"is assigned to Service {world.namespace}/web" in refused["message"]
    assert len(served(world)) == 1


async def test_an_invalid_pool_is_told_and_what_it_gave_stays(world):
    await serving(world)
    pool = world.pool()
    pool["spec"]["addresses"] = ["192.0.2.9-192.0.2.2"]
    path = f"/apis/skylane.dev/v1alpha1/virtualippools/{world.namespace}"
    world.api.request("PUT", path, pool)

    def refused():
        conditions = world.pool()["status"]["conditions"]
        return conditions if conditions[0]["status"] == "False" else None

    (condition,) = await eventually(refused, "Accepted=False")
    assert "the first address lies behind the last" in condition["message"]
    assert list(served(world)) == [("192.0.2.8", 80)]
    assert addresses_of(world) == [{"ip": "192.0.2.8", "ipMode": "VIP"}]
