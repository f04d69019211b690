from datetime import UTC, datetime

import pytest
from plan_world import inputs, node, pod

from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan import plan_for
from skylane_operator.plan.observed import AgentListener, AgentState, Observed
from skylane_operator.status import status_for

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
PLAN = plan_for(inputs(nodes=[node("a")]))
RUNNING = PLAN.pods[0].listeners[0].generation
BASE = PLAN.pods[0].base.generation


def agent(*, connected=True, base=BASE, generation=RUNNING, error=""):
    return AgentState(connected, base, {"web": AgentListener(generation, error)})


def observed(state):
    running = pod("demo-skylane-0", "a", {}, load_balancer="demo").model_dump(by_alias=True)
    running["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    return Observed(pods={"demo-skylane-0": Pod.model_validate(running)}, agents={"demo-skylane-0": state})


def condition(status, name):
    return next(c for c in status["conditions"] if c["type"] == name)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (agent(), "Programmed"),
        (agent(connected=False), "AgentNotConnected"),
        (agent(generation="old"), "GenerationPending"),
        (agent(generation="old", error="port 0"), "ForwarderRejected"),
        (agent(base="old"), "GenerationPending"),
        (AgentState(connected=True), "GenerationPending"),
    ],
)
def test_programmed_means_that_every_pod_runs_the_newest(state, reason):
    programmed = condition(status_for(PLAN, observed(state), None, FIRST), "Programmed")
    assert (programmed["reason"], programmed["status"]) == (
        reason,
        "True" if reason == "Programmed" else "False",
    )


def test_time_is_that_of_the_last_change_of_status():
    before = status_for(PLAN, observed(agent(generation="old")), None, FIRST)
    same = status_for(PLAN, observed(agent(connected=False)), before, LATER)
    assert condition(same, "Programmed")["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert condition(same, "Programmed")["reason"] == "AgentNotConnected"
    after = status_for(PLAN, observed(agent()), same, LATER)
    assert condition(after, "Programmed")["lastTransitionTime"] == "2026-01-02T00:00:00Z"


def test_unchanged_world_gives_the_same_status():
    before = status_for(PLAN, observed(agent()), None, FIRST)
    assert status_for(PLAN, observed(agent()), before, LATER) == before


def test_conditions_speak_of_the_generation_they_saw():
    assert {c["observedGeneration"] for c in status_for(PLAN, Observed(), None, FIRST)["conditions"]} == {1}


def test_ready_names_the_first_that_is_not_true():
    status = status_for(PLAN, Observed(), None, FIRST)
    assert condition(status, "Ready")["reason"] == "ResolvedRefs"
    assert condition(status, "Ready")["message"].startswith("ResolvedRefs is False (ServiceNotFound): ")


def test_a_pod_that_a_scale_in_has_yet_to_remove_does_not_count():
    one = observed(agent())
    leftover = Observed(pods={**one.pods, "demo-skylane-1": one.pods["demo-skylane-0"]}, agents=one.agents)
    assert status_for(PLAN, leftover, None, FIRST)["replicas"] == "1/1"
