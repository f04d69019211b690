"""What the operator writes over an object's life, and what it does not: on a real API server with real controllers."""

import contextlib

import pytest
from operator_support import endpoint_slice, eventually, service

from skylane_operator.errors import ApiNotFoundError
from skylane_operator.model.key import Key

pytestmark = pytest.mark.apiserver

SETS = ("apps/v1", "statefulsets", "edge-skylane")
OURS = ("skylane.dev/v1alpha1", "loadbalancers", "edge")


def add_service(world, name="web"):
    world.create("v1", "services", service(world.namespace, name))
    world.create("discovery.k8s.io/v1", "endpointslices", endpoint_slice(world.namespace, name, "10.244.0.5"))


async def serving(world, **kwargs):
    add_service(world)
    world.add_load_balancer(**kwargs)
    await world.start_operator()
    for ordinal in range(kwargs.get("replicas", 1)):
        await world.until_pod(f"edge-skylane-{ordinal}")
        world.set_ready(f"edge-skylane-{ordinal}")
    await world.until_condition("DataplaneReady", "True")


async def run_pod(world, pod):
    """What the containers of a pod do; those of a predecessor of the same name end first."""
    await world.end_pod(pod)
    world.start_forwarder(pod)
    world.start_agent(pod)
    world.set_ready(pod)


@contextlib.contextmanager
def writes_of(client, monkeypatch):
    """Every request but reads that the client makes."""
    writes, request = [], client.request

    async def counted(method, path, **kwargs):
        if method != "GET":
            writes.append(f"{method} {path}")
        return await request(method, path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(client, "request", counted)
        yield writes


async def test_a_steady_state_writes_nothing(world, monkeypatch):
    await serving(world)
    key = Key(world.namespace, "edge")

    def settled():
        # A flush lingers for a second after its write, long enough for the write's echo to have been handled.
        return not len(world.operator.term.queue) and not world.operator.term.status._tasks

    await eventually(settled, "the last status to be written")
    status_writes = world.operator.term.status.writes
    with writes_of(world.client, monkeypatch) as writes:
        handled = world.operator.term.queue.handled
        for number in range(3):
            world.operator.term.queue.mark(key)
            await eventually(lambda: world.operator.term.queue.handled > handled + number, "a reconcile")  # noqa: B023
        add_service(world, "unrelated")
        await eventually(
            lambda: world.operator.cluster.services.get(Key(world.namespace, "unrelated")),
            "the other Service",
        )
        await world.operator.term.status.aclose()
    assert writes == []
    assert world.operator.term.status.writes == status_writes


async def test_what_somebody_else_changes_or_deletes_comes_back(world):
    await serving(world)
    config_map = ("v1", "configmaps", "edge-skylane")
    authority = world.get(*config_map)["data"]
    world.change(*config_map, lambda body: body["data"].update({"ca.crt": "mine"}))
    await eventually(lambda: world.get(*config_map)["data"] == authority, "the CA to come back")
    uid = world.get(*config_map)["metadata"]["uid"]
    world.delete(*config_map)

    def is_back():
        path = world.path("v1", "configmaps")
        maps = {one["metadata"]["name"]: one for one in world.api.request("GET", path)["items"]}
        return "edge-skylane" in maps and maps["edge-skylane"]["metadata"]["uid"] != uid

    await eventually(is_back, "the ConfigMap to be made again")


async def test_a_disruption_budget_goes_with_its_second_replica(world):
    await serving(world, replicas=2)

    def budgets():
        return world.api.request("GET", world.path("policy/v1", "poddisruptionbudgets"))["items"]

    assert len(budgets()) == 1
    world.change(*OURS, lambda body: body["spec"].update(replicas=1))
    await eventually(lambda: not budgets(), "the budget to be pruned")
    await eventually(lambda: world.get(*SETS)["spec"]["replicas"] == 1, "the scale-in")


async def test_a_network_policy_that_somebody_opens_is_closed_again(world):
    await serving(world)
    policy = ("networking.k8s.io/v1", "networkpolicies", "edge-skylane")
    ingress = world.get(*policy)["spec"]["ingress"]
    world.change(*policy, lambda body: body["spec"].update(ingress=[{}]))
    await eventually(lambda: world.get(*policy)["spec"]["ingress"] == ingress, "the policy to come back")


async def test_pods_are_replaced_one_at_a_time(world):
    await serving(world, replicas=2)
    for ordinal in range(2):
        await run_pod(world, f"edge-skylane-{ordinal}")
    await world.until_condition("Ready", "True")
    before = {
        name: (await world.until_pod(name))["metadata"]["uid"]
        for name in ("edge-skylane-0", "edge-skylane-1")
    }

    async def until_replaced(name):
        def new():
            pods = world.api.request("GET", world.path("v1", "pods"))["items"]
            return any(
                pod["metadata"]["name"] == name and pod["metadata"]["uid"] != before[name] for pod in pods
            )

        await eventually(new, f"{name} to be replaced", 40)

    world.change(*OURS, lambda body: body["spec"]["dataplane"].update(maxFlowsPerWorker=2048))
    await until_replaced("edge-skylane-0")
    await world.until_condition("DataplaneReady", "False")
    assert (await world.until_pod("edge-skylane-1"))["metadata"]["uid"] == before["edge-skylane-1"]
    world.set_ready("edge-skylane-0")
    await world.until_condition("DataplaneReady", "True")
    # Ready, but its forwarder is not programmed: what still runs is the agent of its predecessor.
    assert (await world.until_pod("edge-skylane-1"))["metadata"]["uid"] == before["edge-skylane-1"]
    await run_pod(world, "edge-skylane-0")
    await until_replaced("edge-skylane-1")


async def test_an_address_goes_to_the_next_when_its_owner_goes(world):
    add_service(world)
    world.add_load_balancer("older", octet=240)
    await world.start_operator()
    await world.until_condition("Accepted", "True", name="older")
    # Creation times are whole seconds; between equals the name decides, and "older" comes after "edge".
    await eventually(lambda: _age_s(world, "older") >= 1, "a second to pass")
    world.add_load_balancer(octet=240)
    found = await world.until_condition("Accepted", "False")
    assert "older" in found["message"]
    world.delete("skylane.dev/v1alpha1", "loadbalancers", "older")
    await world.until_condition("Accepted", "True")


def _age_s(world, name):
    from datetime import UTC, datetime  # noqa: PLC0415

    created = world.load_balancer(name)["metadata"]["creationTimestamp"]
    return (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()


async def test_a_deleted_load_balancer_leaves_nothing(world):
    await serving(world)
    key = Key(world.namespace, "edge")
    world.delete(*OURS)
    await eventually(lambda: key not in world.operator.cluster.load_balancers.all(), "the operator to notice")
    await eventually(lambda: not world.operator.term.agents.states_of(key), "its agents to be forgotten")

    def left():
        kinds = [("apps/v1", "statefulsets"), ("v1", "services"), ("v1", "serviceaccounts")]
        items = [item for kind in kinds for item in world.api.request("GET", world.path(*kind))["items"]]
        return [item for item in items if item["metadata"]["name"] == "edge-skylane"]

    await eventually(lambda: not left(), "the garbage collector", 30)


async def test_a_load_balancer_that_vanished_unseen_is_dropped_by_the_next_list(world):
    await serving(world)
    balancers = world.operator.cluster.load_balancers
    ghost = Key(world.namespace, "ghost")
    body = world.load_balancer()
    body["metadata"] |= {"name": "ghost", "uid": "no-such"}
    balancers.keep(body)
    assert ghost in await balancers.refresh()
    assert ghost not in balancers.all()


async def test_a_mistake_is_an_event_once(world):
    world.add_load_balancer()
    await world.start_operator()
    await world.until_condition("ResolvedRefs", "False", "ServiceNotFound")

    def events():
        items = world.api.request("GET", world.path("events.k8s.io/v1", "events"))["items"]
        return [item for item in items if item["regarding"]["kind"] == "LoadBalancer"]

    found = await eventually(events, "the event")
    assert [(one["type"], one["reason"]) for one in found] == [("Warning", "ServiceNotFound")]
    add_service(world)
    await world.until_condition("ResolvedRefs", "True")
    await eventually(lambda: len(events()) >= 2, "the event that it is mended")


async def test_a_status_of_an_object_that_is_gone_is_no_fault(world):
    await serving(world)
    stored = await world.operator.cluster.load_balancers.read(Key(world.namespace, "edge"))
    world.delete(*OURS)
    world.operator.term.status.write(stored, {**stored.status, "replicas": "9/9"})
    await eventually(lambda: not world.operator.cluster.load_balancers.all(), "the operator to notice")
    with pytest.raises(ApiNotFoundError):
        await world.client.request("GET", world.path(*OURS))
