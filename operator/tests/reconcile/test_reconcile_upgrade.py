"""Upgrades on a real API server with real controllers; a pod without its agent and forwarder is one whose image does not work."""

import pytest
from operator_support import eventually
from test_reconcile_lifecycle import SETS, run_pod, serving

pytestmark = pytest.mark.apiserver

FIRST, SECOND = "edge-skylane-0", "edge-skylane-1"
GOOD = "skylane/lb:test"


async def two_pods(world):
    await serving(world, replicas=2)
    for name in (FIRST, SECOND):
        await run_pod(world, name)
    await world.until_condition("Ready", "True")
    await world.until_condition("UpToDate", "True")


async def upgraded_operator(world, image, **changes):
    port = world.operator.term.grpc_port
    await world.stop_operator()
    await world.start_operator(port, lb_image=image, **changes)


def images(world):
    pods = world.api.request("GET", world.path("v1", "pods"))["items"]
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


async def until_images(world, first, second):
    wanted = {FIRST: first, SECOND: second}
    await eventually(lambda: images(world) == wanted, f"the images {wanted}", 40)


def step(world):
    upgrade = world.load_balancer()["status"].get("upgrade")
    return (upgrade["step"], upgrade["pod"]) if upgrade else None


async def test_an_upgrade_goes_pod_by_pod_and_says_so(world):
    await two_pods(world)
    await upgraded_operator(world, "skylane/lb:new")
    await until_images(world, "skylane/lb:new", GOOD)
    await world.until_condition("UpToDate", "False", "Upgrading")
    await eventually(lambda: step(world) == ("Starting", FIRST), "the first pod's turn")
    # An operator that leads anew goes on from the status: the turn began once.
    began = world.load_balancer()["status"]["upgrade"]["since"]
    await upgraded_operator(world, "skylane/lb:new")
    await world.until_condition("UpToDate", "False", "Upgrading")
    assert world.load_balancer()["status"]["upgrade"]["since"] == began
    await run_pod(world, FIRST)
    await until_images(world, "skylane/lb:new", "skylane/lb:new")
    await eventually(lambda: step(world) == ("Starting", SECOND), "the second pod's turn")
    await run_pod(world, SECOND)
    await world.until_condition("UpToDate", "True")
    assert step(world) is None


async def test_a_version_that_does_not_serve_is_rolled_back(world):
    await two_pods(world)
    second = (await world.until_pod(SECOND))["metadata"]["uid"]
    await upgraded_operator(world, "skylane/lb:broken", upgrade_deadline_s=3)
    await until_images(world, "skylane/lb:broken", GOOD)
    await world.end_pod(FIRST)
    told = await world.until_condition("UpToDate", "False", "RolledBack")
    assert "goes back to their revision edge-skylane-" in told["message"]
    await until_images(world, GOOD, GOOD)
    assert (await world.until_pod(SECOND))["metadata"]["uid"] == second
    # It stays so, also for an operator that leads anew.
    await upgraded_operator(world, "skylane/lb:broken", upgrade_deadline_s=3)
    await run_pod(world, FIRST)
    await world.until_condition("Ready", "True")
    assert world.condition("UpToDate")["reason"] == "RolledBack"
    assert images(world) == {FIRST: GOOD, SECOND: GOOD}
    assert world.get(*SETS)["spec"]["template"]["spec"]["containers"][0]["image"] == GOOD
    # Until there is another version.
    await upgraded_operator(world, "skylane/lb:mended")
    await until_images(world, "skylane/lb:mended", GOOD)


async def test_a_spec_that_no_pod_can_serve_stalls(world):
    await two_pods(world)
    await upgraded_operator(world, GOOD, upgrade_deadline_s=3)
    world.change(
        "skylane.dev/v1alpha1",
        "loadbalancers",
        "edge",
        lambda body: body["spec"]["dataplane"].update(maxFlowsPerWorker=2048),
    )
    told = await world.until_condition("UpToDate", "False", "Stalled")
    assert "set spec.dataplane back" in told["message"]
    assert step(world) == ("Stalled", FIRST)
    assert set(images(world)) == {FIRST, SECOND}
