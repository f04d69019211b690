"""The condition SessionSync, and what a rollout makes of the same words of agents."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from plan_world import inputs, node, pod

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_operator.agents.registry import Agents
from skylane_operator.agents.session import Session
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan import plan_for
from skylane_operator.plan.observed import AgentListener, AgentState, AgentSync, Observed
from skylane_operator.plan.rollout import why_not_serving
from skylane_operator.status import agents_awaited, status_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("demo-skylane-0", "demo-skylane-1")


def plan(replicas=2, **spec):
    return plan_for(inputs(nodes=[node("a")], replicas=replicas, sessionSync={"enabled": True}, **spec))


def seen(*syncs, unready=()):
    """`syncs` are what the agents say, in the order of the pods."""
    pods, agents = {}, {}
    planned = plan().pods
    for name, sync, of_plan in zip(NAMES, syncs, planned, strict=False):
        body = pod(name, "a", {}, load_balancer="demo").model_dump(by_alias=True)
        ready = "False" if name in unready else "True"
        body["status"]["conditions"] = [{"type": "Ready", "status": ready}]
        pods[name] = Pod.model_validate(body)
        listeners = {one.name: AgentListener(one.generation) for one in of_plan.listeners}
        agents[name] = AgentState(True, of_plan.base.generation, listeners, sync=sync)  # noqa: FBT003
    return Observed(pods=pods, agents=agents)


def condition(name, of_plan, observed):
    conditions = status_for(of_plan, observed, None, NOW)["conditions"]
    return next((one for one in conditions if one["type"] == name), None)


COMPLETE, JOINING = AgentSync("complete"), AgentSync("joining")


@pytest.mark.parametrize(
    ("observed", "status", "reason", "said"),
    [
        (seen(COMPLETE, COMPLETE), "True", "Complete", "each of 2 pods"),
        (seen(COMPLETE), "True", "Complete", "pod demo-skylane-0 runs alone"),
        (seen(COMPLETE, JOINING), "False", "Joining", "pod demo-skylane-1 is being told"),
        (seen(AgentSync("conflict"), COMPLETE), "False", "AddressTaken", "pod demo-skylane-0 serves nobody"),
        (
            seen(AgentSync("complete", (1,)), COMPLETE),
            "False",
            "PeerSilent",
            "does not hear pod demo-skylane-1",
        ),
        (
            seen(AgentSync("complete", (1,)), COMPLETE, unready=NAMES[1:]),
            "True",
            "Complete",
            "each of 2 pods",
        ),
        (seen(AgentSync("complete", (7,)), COMPLETE), "True", "Complete", "each of 2 pods"),
        (seen(COMPLETE, None), "Unknown", "NotReported", "pod demo-skylane-1 has not told"),
        (seen(), "Unknown", "NotReported", "any pod has not told"),
    ],
)
def test_condition(observed, status, reason, said):
    found = condition("SessionSync", plan(), observed)
    assert (found["status"], found["reason"]) == (status, reason)
    assert said in found["message"]
    ready = condition("Ready", plan(), observed)
    assert "SessionSync" not in ready["reason"]


def test_a_silent_peer_is_looked_for_on_the_port_of_the_spec():
    other = plan_for(inputs(nodes=[node("a")], replicas=2, sessionSync={"enabled": True, "udpPort": 6000}))
    found = condition("SessionSync", other, seen(AgentSync("complete", (1,)), COMPLETE))
    assert "UDP port 6000" in found["message"]


def test_addresses_for_one_pod_are_told_to_be_too_few():
    assert condition("SessionSync", plan(replicas=1), seen(None))["reason"] == "NoPeers"


def test_there_is_no_condition_where_it_is_not_asked_for():
    assert condition("SessionSync", plan_for(inputs(nodes=[node("a")])), Observed()) is None


def test_a_pod_that_is_not_ready_because_it_joins_says_so():
    found = condition("DataplaneReady", plan(), seen(COMPLETE, JOINING, unready=NAMES[1:]))
    assert "pod demo-skylane-1: is being told the flows of the other pods" in found["message"]


@pytest.mark.parametrize(("sync", "waits"), [(JOINING, True), (COMPLETE, False), (None, False)])
def test_no_pod_is_replaced_while_another_one_is_being_told_its_flows(sync, waits):
    observed = seen(COMPLETE, sync)
    assert bool(why_not_serving(plan().pods[1], observed)) is waits


def test_an_operator_that_starts_waits_for_what_agents_know():
    agents = {name: replace(agent, pod_uid="u") for name, agent in seen(COMPLETE, None).agents.items()}
    awaited = replace(seen(COMPLETE, None), agents=agents)
    assert agents_awaited(plan(), awaited)
    told = agents | {NAMES[1]: replace(agents[NAMES[1]], sync=JOINING)}
    assert not agents_awaited(plan(), replace(awaited, agents=told))


def test_what_an_agent_says_is_kept_and_told_once():
    changed = []
    agents = Agents(changed.append)
    lb, key = Key("default", "demo"), Key("default", NAMES[0])
    session = Session(agents, key, lb, "u")
    session.open(pb.Hello(base_generation="b"))
    changed.clear()
    for _ in range(2):
        session.receive(pb.AgentMessage(sync=pb.SyncState(state="complete", silent=[1])))
    assert agents.states_of(lb)[NAMES[0]].sync == AgentSync("complete", (1,))
    assert changed == [lb]
    session.receive(pb.AgentMessage(sync=pb.SyncState()))
    assert agents.states_of(lb)[NAMES[0]].sync is None
