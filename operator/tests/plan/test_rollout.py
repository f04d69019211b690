from dataclasses import replace

import pytest
from plan_world import inputs, node

from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.key import Key, service_owner
from skylane_operator.model.kubernetes import Pod, StatefulSet
from skylane_operator.model.load_balancer import Advertisement
from skylane_operator.plan import plan_for
from skylane_operator.plan.observed import (
    AgentAdvertisement,
    AgentListener,
    AgentSession,
    AgentState,
    Observed,
)
from skylane_operator.plan.rollout import pod_to_replace

PLAN = plan_for(inputs(replicas=3, nodes=[node("a", nics=9)]))


def agent(planned, *, connected=True, base=None, error=None):
    listeners = {
        one.name: AgentListener("" if error is not None else one.generation, error or "")
        for one in planned.listeners
    }
    return AgentState(connected, planned.base.generation if base is None else base, listeners)


AGENTS = {planned.name: agent(planned) for planned in PLAN.pods}


def pod(ordinal, revision="new", *, ready=True, leaving=False):
    metadata = {"name": f"demo-skylane-{ordinal}", "labels": {"controller-revision-hash": revision}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return Pod.model_validate(
        {"metadata": metadata, "status": {"phase": "Running", "conditions": conditions}}
    )


def observed(*pods, revision="new", seen=2, agents=None):
    workload = StatefulSet.model_validate(
        {
            "metadata": {"name": "demo-skylane", "generation": 2},
            "status": {"observedGeneration": seen, "updateRevision": revision},
        }
    )
    return Observed({one.metadata.name: one for one in pods}, workload, AGENTS | (agents or {}))


def replaced(seen):
    found = pod_to_replace(PLAN, seen)
    return found.metadata.name if found else None


def test_nothing_is_replaced_when_nothing_is_stale():
    assert replaced(observed(pod(0), pod(1), pod(2))) is None


@pytest.mark.parametrize(
    ("pods", "name"),
    [
        ([pod(0, "old"), pod(1, "old"), pod(2, "old")], "demo-skylane-0"),
        ([pod(0, "old"), pod(1), pod(2, "old")], "demo-skylane-0"),
        ([pod(0), pod(1, "old"), pod(2, ready=False)], None),  # another one does not serve
        ([pod(0), pod(1, "old")], None),  # another one is missing
        ([pod(0, "old"), pod(1, "old", ready=False), pod(2)], "demo-skylane-1"),  # it serves nobody anyway
        ([pod(0, "old"), pod(1, "old", ready=False), pod(2, "old", ready=False)], "demo-skylane-1"),
        ([pod(0, "old", ready=False), pod(1, ready=False), pod(2, ready=False)], "demo-skylane-0"),
        ([pod(0, leaving=True), pod(1, "old"), pod(2)], None),  # the last one is still on its way out
    ],
)
def test_one_at_a_time_and_only_while_all_others_serve(pods, name):
    assert replaced(observed(*pods)) == name


def test_a_template_that_the_controller_has_not_seen_makes_nobody_stale():
    assert replaced(observed(pod(0, "old"), pod(1, "old"), pod(2, "old"), seen=1)) is None


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (agent(PLAN.pods[1]), "demo-skylane-0"),
        (agent(PLAN.pods[1], connected=False), None),
        (agent(PLAN.pods[1], base=""), None),
        (agent(PLAN.pods[1], error=""), None),  # it has not taken its listener yet
        (agent(PLAN.pods[1], error="line 7: no"), None),  # it refuses what the others run
    ],
)
def test_a_pod_that_serves_waits_for_the_others_to_be_programmed(other, name):
    assert replaced(observed(pod(0, "old"), pod(1), pod(2), agents={"demo-skylane-1": other})) == name


def test_what_every_pod_refuses_holds_up_nothing():
    """Waiting would not mend it, and a newer version may."""
    refusing = {planned.name: agent(planned, error="line 7: no") for planned in PLAN.pods}
    assert replaced(observed(pod(0, "old"), pod(1), pod(2), agents=refusing)) == "demo-skylane-0"


def test_listeners_of_services_and_gateways_are_waited_for():
    owner = service_owner(Key("default", "mail"))
    agents = {planned.name: agent(planned) for planned in PLAN.pods}
    seen = replace(observed(pod(0, "old"), pod(1), pod(2), agents=agents), owners={"mail-25": owner})
    assert replaced(seen) is None
    more = {
        name: replace(one, listeners=one.listeners | {"mail-25": AgentListener("any")})
        for name, one in agents.items()
    }
    assert replaced(replace(seen, agents=more)) == "demo-skylane-0"


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ((True, 1), (True, 1), "demo-skylane-0"),
        ((True, 1), (False, 0), None),  # no session yet, which another one has
        ((True, 1), (True, 0), None),  # nothing announced yet
        ((False, 0), (False, 0), "demo-skylane-0"),  # the routers are away, or nothing is to be announced
    ],
)
def test_a_pod_serves_when_it_announces_as_the_others_do(first, second, name):
    made = peered()
    agents = {}
    for planned, (established, announced) in zip(made.pods, (first, second, first), strict=True):
        said = AgentAdvertisement(
            sessions=(AgentSession("rack-1", established=established),), announced=announced
        )
        agents[planned.name] = replace(agent(planned), advertisement=said)
    seen = observed(pod(0, "old"), pod(1), pod(2), agents=agents)
    found = pod_to_replace(made, seen)
    assert (found.metadata.name if found else None) == name


def peered():
    peer = BGPPeer.model_validate(
        {
            "metadata": {"name": "rack-1", "namespace": "default"},
            "spec": {"peerAddress": "10.0.0.1", "peerASN": 64513, "localASN": 64512},
        }
    )
    given = inputs(replicas=3, nodes=[node("a", nics=9)])
    spec = given.load_balancer.spec.model_copy(update={"advertisement": Advertisement(bgp_peers=("rack-1",))})
    load_balancer = given.load_balancer.model_copy(update={"spec": spec})
    return plan_for(replace(given, load_balancer=load_balancer, bgp_peers={"rack-1": peer}))


def test_a_forwarder_with_other_addresses_than_planned_is_stale():
    planned = PLAN.pods[1]
    for running, name in ((planned.base.generation, None), ("f" * 16, planned.name), ("", None)):
        agents = {planned.name: agent(planned, base=running)}
        assert replaced(observed(pod(0), pod(1), pod(2), agents=agents)) == name


def test_two_with_other_addresses_do_not_wait_for_one_another():
    agents = {planned.name: agent(planned, base="f" * 16) for planned in PLAN.pods}
    assert replaced(observed(pod(0), pod(1), pod(2), agents=agents)) == "demo-skylane-0"
