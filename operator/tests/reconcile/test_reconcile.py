"""The operator whole: a real API server and controllers, real agents with real tokens over TLS, real forwarders."""

import json
import subprocess
import time

import pytest
from operator_support import endpoint_slice, eventually, service
from operator_world import FORWARDER

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
SLICES = ("discovery.k8s.io/v1", "endpointslices")


def add_service(world, name="web", *addresses):
    world.create("v1", "services", service(world.namespace, name))
    world.create(*SLICES, endpoint_slice(world.namespace, name, *(addresses or ("10.244.0.5", "10.244.0.6"))))


def set_endpoints(world, *addresses, name="web"):
    wanted = endpoint_slice(world.namespace, name, *addresses)["endpoints"]
    world.change(*SLICES, f"{name}-1", lambda body: body.update(endpoints=wanted))


def listener_file(world, name="web"):
    return world.pod_folder(POD) / "config" / "listeners" / f"{name}.json"


def backends_on_disk(world):
    return [one["address"] for one in json.loads(listener_file(world).read_text())["backends"]]


def check_directory(world):
    command = [FORWARDER, "--check", world.pod_folder(POD) / "config"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    return checked.returncode, checked.stderr


async def programmed(world, **kwargs):
    """One load balancer with its pod, forwarder and agent, up to Ready."""
    add_service(world)
    world.add_load_balancer(**kwargs)
    await world.start_operator()
    await world.until_pod(POD)
    forwarder = world.start_forwarder(POD)
    world.start_agent(POD)
    await world.until_condition("Programmed", "True")
    world.set_ready(POD)
    await world.until_condition("Ready", "True")
    return forwarder


async def test_from_objects_to_a_programmed_forwarder(world):
    await programmed(world)
    stateful_set = world.get("apps/v1", "statefulsets", "edge-skylane")
    owner = stateful_set["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("LoadBalancer", "edge", True)
    assert stateful_set["spec"]["updateStrategy"]["type"] == "OnDelete"
    assert backends_on_disk(world) == ["10.244.0.5", "10.244.0.6"]
    assert check_directory(world) == (0, "")
    status = world.load_balancer()["status"]
    assert status["observedGeneration"] == 1
    assert status["backends"] == 2
    assert status["listeners"][0]["programmedPods"] == 1


async def test_change_of_an_endpoint_reaches_the_forwarder(world, record_property):
    await programmed(world)
    before = world.agent_state(POD).listeners["web"].generation
    started = time.monotonic()
    set_endpoints(world, "10.244.0.6", "10.244.0.7")
    await eventually(lambda: world.agent_state(POD).listeners["web"].generation != before, "the ack")
    record_property("endpoint_change_to_ack_ms", round((time.monotonic() - started) * 1000, 1))
    assert backends_on_disk(world) == ["10.244.0.6", "10.244.0.7"]


async def test_restarted_operator_disturbs_nothing(world):
    forwarder = await programmed(world)
    written, process = listener_file(world).stat().st_mtime_ns, forwarder.process.pid
    port = world.operator.term.grpc_port
    await world.stop_operator()
    await world.start_operator(port)
    await eventually(lambda: (state := world.agent_state(POD)) and state.connected, "the agent's return", 40)
    set_endpoints(world, "10.244.0.9")
    await eventually(lambda: backends_on_disk(world) == ["10.244.0.9"], "the change after the restart", 40)
    assert forwarder.process.poll() is None
    assert forwarder.process.pid == process
    # Written once, by the change; the restart itself sent nothing.
    assert listener_file(world).stat().st_mtime_ns != written


async def test_restarted_operator_tells_no_trouble_while_agents_dial(world):
    await programmed(world)
    conditions = world.load_balancer()["status"]["conditions"]
    await world.stop_operator()
    await world.stop_agent(POD)
    await world.start_operator()
    term = world.operator.term
    looked = lambda: term.queue.handled and not len(term.queue) and not len(term.status)  # noqa: E731
    await eventually(looked, "the first look")
    assert world.load_balancer()["status"]["conditions"] == conditions
    # An agent that stays away is told all the same.
    await world.until_condition("Programmed", "False", "AgentNotConnected")


async def test_killed_forwarder_starts_from_the_directory(world):
    forwarder = await programmed(world)
    generation = world.agent_state(POD).listeners["web"].generation
    forwarder.kill()
    await world.until_condition("Programmed", "False")
    forwarder.start()
    await world.until_condition("Programmed", "True")
    assert world.agent_state(POD).listeners["web"].generation == generation


async def test_service_that_goes_away_is_named(world):
    await programmed(world)
    world.delete("v1", "services", "web")
    found = await world.until_condition("ResolvedRefs", "False", "ServiceNotFound")
    assert "listeners[0].backends[0].service" in found["message"]
    assert "web" in found["message"]


async def test_bad_object_does_not_hold_up_a_good_one(world):
    add_service(world)
    world.add_load_balancer("bad", services=("nowhere",), octet=250)
    world.add_load_balancer("edge", octet=251)
    await world.start_operator()
    await world.until_condition("ResolvedRefs", "False", "ServiceNotFound", name="bad")
    await world.until_condition("ResolvedRefs", "True", name="edge")
    await world.until_pod(POD)


async def test_agent_with_the_token_of_another_pod_is_refused(world):
    add_service(world)
    world.add_load_balancer(replicas=2)
    await world.start_operator()
    await world.until_pod(POD)
    uid = (await world.until_pod("edge-skylane-1"))["metadata"]["uid"]
    account = {"name": "edge-skylane-1", "uid": uid}
    token = world.api.token(world.namespace, "edge-skylane", "skylane.dev/operator", account)
    world.start_agent(POD, token=token)
    world.start_agent("edge-skylane-1")
    await eventually(lambda: world.agent_state("edge-skylane-1").connected, "the rightful agent", 40)
    assert not world.agent_state(POD).connected
    assert not listener_file(world).exists()


async def test_foreground_deletion_ends(world):
    """What is deleted first must not be made again while its owner still waits for it."""
    await programmed(world)
    path = world.path("skylane.dev/v1alpha1", "loadbalancers", "edge")
    world.api.request("DELETE", path, {"propagationPolicy": "Foreground"})

    def gone():
        return not world.api.request("GET", world.path("skylane.dev/v1alpha1", "loadbalancers"))["items"]

    await eventually(gone, "the end of the LoadBalancer", 40)


async def test_object_of_somebody_else_is_left_as_it_is(world):
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "edge-skylane"},
        "data": {"a": "b"},
    }
    before = world.create("v1", "configmaps", theirs)
    add_service(world)
    world.add_load_balancer()
    await world.start_operator()
    found = await world.until_condition("DataplaneReady", "False", "NameTaken")
    assert f"ConfigMap {world.namespace}/edge-skylane" in found["message"]
    after = world.get("v1", "configmaps", "edge-skylane")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    world.delete("v1", "configmaps", "edge-skylane")
    await world.until_pod(POD)
