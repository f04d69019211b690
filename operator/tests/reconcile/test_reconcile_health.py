"""Health checks from the spec to the status: a real API server, agent, forwarder and backends."""

import contextlib
import json

import pytest
from backends_world import Backends
from operator_support import endpoint_slice, eventually, service
from operator_world import load_balancer

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
CHECK = {
    "type": "HTTP",
    "intervalSeconds": 1,
    "healthyThreshold": 1,
    "unhealthyThreshold": 1,
    "http": {"path": "/healthz"},
}


@pytest.fixture
async def backends():
    async with Backends(2).serving() as backends:
        yield backends


@contextlib.asynccontextmanager
async def checked(world, backends, **check):
    """A load balancer with a health check, up to Ready; gives its agent."""
    world.create("v1", "services", service(world.namespace, "web"))
    slice_ = endpoint_slice(world.namespace, "web", *backends.status, target=backends.port)
    world.create("discovery.k8s.io/v1", "endpointslices", slice_)
    body = load_balancer()
    body["spec"]["listeners"][0]["healthCheck"] = CHECK | check
    world.create("skylane.dev/v1alpha1", "loadbalancers", body)
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    agent = world.start_agent(POD)
    await world.until_condition("Programmed", "True")
    world.set_ready(POD)
    await world.until_condition("Ready", "True")
    yield agent


def listener_status(world):
    return world.load_balancer()["status"]["listeners"][0]


async def until_healthy(world, count):
    def so_many():
        status = listener_status(world)
        return status if status.get("healthyBackends") == count else None

    return await eventually(so_many, f"{count} healthy backends", 40)


def weights(world):
    (file,) = (world.pod_folder(POD) / "config/listeners").glob("*.json")
    return {one["address"]: one["weight"] for one in json.loads(file.read_text())["backends"]}


async def until_weights(world, wanted):
    await eventually(lambda: weights(world) == wanted, f"the weights {wanted}", 40)


async def test_status_tells_who_is_sick_and_why_until_it_is_well(world, backends):
    async with checked(world, backends):
        assert "unhealthy" not in await until_healthy(world, 2)
        sick, well = backends.status
        backends.status[sick] = 503
        status = await until_healthy(world, 1)
        assert status["unhealthy"] == [
            {"address": sick, "port": backends.port, "pods": [POD], "reason": "HTTP status 503"}
        ]
        assert (status["backends"], status["programmedPods"]) == (2, 1)
        assert weights(world) == {sick: 0, well: 1}
        found = await world.until_condition("BackendsHealthy", "False", "HealthChecksFailing")
        assert f"{sick}:{backends.port}" in found["message"]
        for condition in ("Programmed", "Ready"):
            assert world.condition(condition)["status"] == "True"
        backends.status[sick] = 200
        assert "unhealthy" not in await until_healthy(world, 2)
        await world.until_condition("BackendsHealthy", "True", "EndpointsReady")
        assert weights(world) == {sick: 1, well: 1}


async def test_a_service_has_its_check_by_annotations(world, backends):
    world.add_load_balancer(services=(), pools=[world.add_pool("192.0.2.8/30")])
    body = service(world.namespace, "web", type="LoadBalancer", loadBalancerClass="skylane.dev/edge")
    check = "skylane.dev/health-check"
    body["metadata"]["annotations"] = {
        check: "HTTP",
        f"{check}-path": "/healthz",
        f"{check}-interval-seconds": "1",
        f"{check}-healthy-threshold": "1",
        f"{check}-unhealthy-threshold": "one",
    }
    world.create("v1", "services", body)
    slice_ = endpoint_slice(world.namespace, "web", *backends.status, target=backends.port)
    world.create("discovery.k8s.io/v1", "endpointslices", slice_)
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    found = await world.until_service_condition("Programmed", "False", "InvalidAnnotation")
    assert f"{check}-unhealthy-threshold: 'one'" in found["message"]
    mended = {f"{check}-unhealthy-threshold": "1"}
    world.change("v1", "services", "web", lambda body: body["metadata"]["annotations"].update(mended))
    await world.until_service_condition("Programmed", "True")
    found = await world.until_service_condition("BackendsHealthy", "True", "HealthChecksPass")
    assert found["message"] == "port 80/TCP: 2 of 2 backends pass the health check"
    sick, well = backends.status
    backends.status[sick] = 503
    await until_weights(world, {sick: 0, well: 1})
    found = await world.until_service_condition("BackendsHealthy", "False", "HealthChecksFailing")
    assert (
        f"1 of 2 backends pass the health check; {sick}:{backends.port} as {POD} sees it: HTTP status 503"
        in (found["message"])
    )
    backends.status[sick] = 200
    await until_weights(world, {sick: 1, well: 1})
    await world.until_service_condition("BackendsHealthy", "True", "HealthChecksPass")
    world.change("v1", "services", "web", lambda body: body["metadata"].update(annotations={}))
    kinds = lambda: {one["type"] for one in world.service()["status"]["conditions"]}  # noqa: E731
    await eventually(lambda: "skylane.dev/BackendsHealthy" not in kinds(), "the end of the condition")


async def test_panic_is_told_and_keeps_ready_from_being_true(world, backends):
    async with checked(world, backends):
        await until_healthy(world, 2)
        backends.status = dict.fromkeys(backends.status, 503)
        found = await world.until_condition("BackendsHealthy", "False", "Panic")
        assert "0 of 2 backends" in found["message"]
        await world.until_condition("Ready", "False", "BackendsHealthy")
        assert set(weights(world).values()) == {1}


async def test_probes_that_find_the_same_write_nothing(world, backends):
    async with checked(world, backends) as agent:
        sick, _ = backends.status
        backends.status[sick] = 503
        await until_healthy(world, 1)
        status = world.operator.term.status
        await eventually(lambda: not len(status), "the last write")
        writes = status.writes
        version = world.load_balancer()["metadata"]["resourceVersion"]
        backends.status[sick] = 404  # another reason, the same verdict
        failed = agent.health.prober.outcomes["failed"]
        await eventually(
            lambda: agent.health.prober.outcomes["failed"] >= failed + 3, "three more probes", 20
        )
        assert not len(status)
        assert (status.writes, world.load_balancer()["metadata"]["resourceVersion"]) == (writes, version)
        assert listener_status(world)["unhealthy"][0]["reason"] == "HTTP status 503"


async def test_a_restarted_operator_hears_of_the_sick_at_once(world, backends):
    async with checked(world, backends):
        sick, _ = backends.status
        backends.status[sick] = 503
        await until_healthy(world, 1)
        await eventually(lambda: not len(world.operator.term.status), "the last write")
        version = world.load_balancer()["metadata"]["resourceVersion"]
        port = world.operator.term.grpc_port
        await world.stop_operator()
        await world.start_operator(port)
        await eventually(lambda: (state := world.agent_state(POD)) and state.health, "the agent's word", 40)
        looked = lambda: not len(world.operator.term.queue) and not len(world.operator.term.status)  # noqa: E731
        await eventually(looked, "the operator's look")
        assert world.load_balancer()["metadata"]["resourceVersion"] == version
