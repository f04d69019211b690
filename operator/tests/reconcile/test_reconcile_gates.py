"""The readiness gate of backends' pods: real endpoint slices, agents and forwarders; the test plays the kubelet."""

import asyncio

import pytest
from backends_world import Backends
from operator_support import eventually, service
from operator_world import NODE, World, load_balancer
from replicas_world import install, uninstall
from services_world import POD, listeners_on_disk

from skylane_operator.kube.client import KubeClient

pytestmark = pytest.mark.apiserver

GATE = "skylane.dev/in-service"
OTHER = "edge-skylane-1"


@pytest.fixture
async def world(control_plane, tmp_path):
    """Its operator may do what the chart lets it do where gates are wanted, and no more."""
    world = World(control_plane, None, tmp_path)
    install(world, "--set", "operator.readinessGates=true")
    account = f"system:serviceaccount:{world.namespace}:skylane-operator"
    kubeconfig = control_plane.user_kubeconfig(account, "system:authenticated")
    async with await KubeClient.connect(kubeconfig) as world.client:
        try:
            # Until there is one, pods are refused.
            accounts = world.path("v1", "serviceaccounts")
            await eventually(lambda: control_plane.request("GET", accounts)["items"], "the ServiceAccount")
            yield world
        finally:
            await world.aclose()
            await asyncio.to_thread(uninstall, world)
            await asyncio.to_thread(world.delete_namespace)


def add_pod(world, name, address, *, gate=True, ready="False"):
    """A pod whose containers are ready, as its kubelet tells it."""
    spec = {"nodeName": NODE, "containers": [{"name": "web", "image": "web"}]}
    if gate:
        spec["readinessGates"] = [{"conditionType": GATE}]
    metadata = {"name": name, "labels": {"app": "web"}}
    world.create("v1", "pods", {"metadata": metadata, "spec": spec})
    tell(world, name, address, ready=ready)


def tell(world, name, address, *, ready):
    def alter(body):
        conditions = [one for one in body["status"].get("conditions", ()) if one["type"] == GATE]
        for kind, status in (("ContainersReady", "True"), ("Ready", ready)):
            now = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
            conditions.append({"type": kind, "status": status, **now})
        addresses = {"podIP": address, "podIPs": [{"ip": address}]}
        body["status"] |= {"phase": "Running", "conditions": conditions, **addresses}

    world.change("v1", "pods", name, alter, "status")


def gate(world, name):
    conditions = world.get("v1", "pods", name)["status"].get("conditions", ())
    return next((one for one in conditions if one["type"] == GATE), {"status": None, "reason": None})


async def until_gate(world, name, status, reason, timeout_s=30.0):
    def holds():
        found = gate(world, name)
        return found if (found["status"], found["reason"]) == (status, reason) else None

    try:
        return await eventually(holds, f"{status} {reason} of {name}", timeout_s)
    except AssertionError as late:
        raise AssertionError(f"{late}; it is {gate(world, name)}") from late


def weights(world, pod=POD):
    return {
        one["address"]: one["weight"] for file in listeners_on_disk(world, pod) for one in file["backends"]
    }


async def until_backends(world, *addresses, pod=POD):
    await eventually(lambda: set(weights(world, pod)) == set(addresses), f"{addresses} in {pod}", 20)


async def serving(world, *, replicas=1, target=8080, **listener):
    """A LoadBalancer with a listener on a Service that selects app=web; the agent of its first pod."""
    body = service(world.namespace, "web", selector={"app": "web"})
    body["spec"]["ports"][0]["targetPort"] = target
    world.create("v1", "services", body)
    balancer = load_balancer(replicas=replicas)
    balancer["spec"]["listeners"][0] |= listener
    world.create("skylane.dev/v1alpha1", "loadbalancers", balancer)
    world.begin_operator(readiness_gates=True)
    await world.until_leading(world.operator, world._operator_task)
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    world.set_ready(POD)


async def test_a_pod_is_ready_when_every_forwarder_has_it(world):
    add_pod(world, "plain", "10.244.9.1", gate=False, ready="True")
    await serving(world, replicas=2)
    await world.until_pod(OTHER)
    await until_backends(world, "10.244.9.1")
    add_pod(world, "new", "10.244.9.2")
    # Not Ready, and yet in the forwarder: it would never be otherwise.
    await until_backends(world, "10.244.9.1", "10.244.9.2")
    waiting = await until_gate(world, "new", "False", "NotProgrammed")
    assert "listener web" in waiting["message"]
    world.start_forwarder(OTHER)
    world.start_agent(OTHER)
    world.set_ready(OTHER)
    await until_gate(world, "new", "True", "InService")
    assert gate(world, "plain")["status"] is None
    tell(world, "new", "10.244.9.2", ready="True")
    # A gate is for those that come: what happens to a forwarder later takes no pod from its other users.
    version = gate(world, "new")
    await world.stop_agent(OTHER)
    await world.until_condition("Programmed", "False", "AgentNotConnected")
    assert gate(world, "new") == version
    # A pod that nobody serves is told so.
    body = {"metadata": {"name": "alone", "labels": {"app": "other"}}}
    body["spec"] = {"nodeName": NODE, "containers": [{"name": "web", "image": "web"}]}
    body["spec"]["readinessGates"] = [{"conditionType": GATE}]
    world.create("v1", "pods", body)
    await until_gate(world, "alone", "False", "NoListener")


async def test_containers_that_are_not_ready_are_no_endpoint_whatever_the_gate_says(world):
    await serving(world)
    add_pod(world, "new", "10.244.9.2")
    await until_gate(world, "new", "True", "InService")
    tell(world, "new", "10.244.9.2", ready="True")
    await until_backends(world, "10.244.9.2")

    def alter(body):
        for one in body["status"]["conditions"]:
            if one["type"] != GATE:
                one["status"] = "False"

    world.change("v1", "pods", "new", alter, "status")
    await until_backends(world)
    assert gate(world, "new")["status"] == "True"


async def test_a_pod_that_fails_its_check_waits_until_it_has_passed_it(world):
    check = {"type": "HTTP", "intervalSeconds": 1, "healthyThreshold": 1, "unhealthyThreshold": 1}
    check["http"] = {"path": "/healthz"}
    async with Backends(1).serving() as backends:
        (address,) = backends.status
        backends.status[address] = 503
        await serving(world, target=backends.port, healthCheck=check)
        add_pod(world, "new", address)
        sick = await until_gate(world, "new", "False", "Unhealthy")
        assert "HTTP status 503" in sick["message"]
        backends.status[address] = 200
        await until_gate(world, "new", "True", "InService")
