"""How far an upgrade has come, step by step; each step from the status of the last alone, as after an operator's restart."""

from datetime import UTC, datetime, timedelta

import pytest
from test_rollout import PLAN, agent, observed, pod

from skylane_operator.model.kubernetes import StatusCondition
from skylane_operator.model.upgrade import UpgradeStatus
from skylane_operator.plan.upgrade import UpgradeInputs, look_again_s, upgrade_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE_S = 600
NAMES = [planned.name for planned in PLAN.pods]


def upgrade(seen, previous=None, **kwargs):
    return upgrade_for(PLAN, seen, given(previous, **kwargs))


def given(previous, *, later_s=0, template="wanted", watched_s=9999):
    now = NOW + timedelta(seconds=later_s)
    return UpgradeInputs(previous, template, now, now - timedelta(seconds=watched_s), DEADLINE_S)


def older(ordinal, **kwargs):
    """As the operator before made it, from the same spec."""
    made = pod(ordinal, "old", **kwargs)
    annotations = {"skylane.dev/base-generation": PLAN.template_generation}
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"annotations": annotations})})


STARTING = upgrade(observed(pod(0, ready=False), older(1), older(2)))


def test_pods_that_start_are_no_upgrade():
    assert upgrade(observed(pod(0, ready=False))) is None


@pytest.mark.parametrize(
    ("pods", "agents", "step", "turn", "message"),
    [
        ([older(0), older(1), older(2)], {}, "Replacing", 0, "is replaced next, 3 in all"),
        ([older(0, leaving=True), older(1), older(2)], {}, "Replacing", 0, "its successor follows"),
        ([older(1), older(2)], {}, "Starting", 0, "does not exist yet"),
        ([pod(0, ready=False), older(1), older(2)], {}, "Starting", 0, "is not Ready"),
        ([pod(0), older(1), older(2)], {0: {"base": ""}}, "Starting", 0, "does not run yet"),
        ([pod(0), older(1), older(2)], {}, "Replacing", 1, "is replaced next, 2 in all"),
        (
            [pod(0), older(1), older(2)],
            {2: {"connected": False}},
            "Waiting",
            1,
            f"the agent of pod {NAMES[2]} is not connected",
        ),
    ],
)
def test_each_step_names_the_pod_and_what_is_waited_for(pods, agents, step, turn, message):
    agents = {NAMES[ordinal]: agent(PLAN.pods[ordinal], **how) for ordinal, how in agents.items()}
    found = upgrade(observed(*pods, agents=agents))
    assert (found.step, found.pod) == (step, NAMES[turn])
    assert message in found.message


def test_it_ends_when_every_successor_serves():
    assert upgrade(observed(pod(0), pod(1), pod(2)), STARTING) is None


def test_the_last_successor_is_waited_for():
    assert upgrade(observed(pod(0), pod(1), pod(2, ready=False)), STARTING).step == "Starting"


def test_a_turn_begins_once():
    """Also for a pod that the StatefulSet controller makes again and again, since its node will not have it."""
    leaving = observed(pod(0, ready=False, leaving=True), older(1), older(2))
    replaced = upgrade(leaving, STARTING, later_s=300)
    assert (replaced.step, replaced.since) == ("Replacing", NOW)
    again = upgrade(observed(pod(0, ready=False), older(1), older(2)), replaced, later_s=301)
    assert (again.step, again.since) == ("Starting", NOW)


def test_the_next_pod_has_its_own_time():
    found = upgrade(observed(pod(0), pod(1, ready=False), older(2)), STARTING, later_s=500)
    assert (found.pod, found.since) == (NAMES[1], NOW + timedelta(seconds=500))


def test_a_version_that_does_not_serve_in_time_is_rolled_back():
    seen = observed(pod(0, ready=False), older(1), older(2))
    assert upgrade(seen, STARTING, later_s=DEADLINE_S - 1).step == "Starting"
    found = upgrade(seen, STARTING, later_s=DEADLINE_S)
    assert (found.step, found.pod, found.revision, found.template) == (
        "RolledBack",
        NAMES[0],
        "old",
        "wanted",
    )
    assert f"pod {NAMES[0]} goes back to their revision old" in found.message


def test_what_was_rolled_back_stays_so_until_another_template_is_wanted():
    back = upgrade(observed(pod(0, ready=False), older(1), older(2)), STARTING, later_s=DEADLINE_S)
    seen = observed(older(0, ready=False), older(1), older(2), revision="old")
    assert upgrade(seen, back, later_s=9999) is back
    mended = observed(older(0), older(1), older(2), revision="newer")
    found = upgrade(mended, back, template="mended", later_s=9999)
    assert (found.step, found.since) == ("Replacing", NOW + timedelta(seconds=9999))
    later = upgrade(observed(older(1), older(2), revision="newer"), found, template="mended", later_s=10007)
    assert later.step == "Starting"


def test_a_wait_is_no_part_of_a_turn():
    away = {NAMES[2]: agent(PLAN.pods[2], connected=False)}
    waits = upgrade(observed(older(0), older(1), older(2), agents=away))
    assert upgrade(observed(older(0), older(1), older(2), agents=away), waits, later_s=5).since == NOW
    found = upgrade(observed(older(0), older(1), older(2)), waits, later_s=9999)
    assert (found.step, found.pod, found.since) == ("Replacing", NAMES[0], NOW + timedelta(seconds=9999))


def test_a_pod_for_which_no_node_has_room_is_waited_for_and_not_blamed():
    nowhere = pod(0, ready=False)
    condition = StatusCondition(type="PodScheduled", status="False", message="0/1 nodes: insufficient NICs")
    nowhere = nowhere.model_copy(
        update={"status": nowhere.status.model_copy(update={"conditions": (condition,)})}
    )
    found = upgrade(observed(nowhere, older(1), older(2)), STARTING, later_s=DEADLINE_S + 1)
    assert (found.step, found.pod) == ("Waiting", NAMES[0])
    assert "insufficient NICs" in found.message


def test_who_has_not_watched_gives_nothing_up():
    """As after an outage of the operator, or of the API server."""
    seen = observed(pod(0, ready=False), older(1), older(2))
    assert upgrade(seen, STARTING, later_s=DEADLINE_S, watched_s=59).step == "Starting"
    assert upgrade(seen, STARTING, later_s=DEADLINE_S, watched_s=60).step == "RolledBack"


@pytest.mark.parametrize(
    "others",
    [
        [pod(1, "old"), pod(2, "old")],  # made from another spec
        [pod(1), pod(2)],  # of the same revision
        [older(1, ready=False), older(2, ready=False)],
    ],
)
def test_without_an_older_pod_that_serves_by_the_same_spec_it_stalls(others):
    seen = observed(pod(0, ready=False), *others)
    found = upgrade(seen, STARTING, later_s=DEADLINE_S)
    assert (found.step, found.revision) == ("Stalled", None)
    assert found.message.endswith(
        "set spec.dataplane back if it was changed, or the chart to its earlier version"
    )
    assert upgrade(observed(pod(0), pod(1), pod(2)), found, later_s=DEADLINE_S + 1) is None


def test_a_template_that_the_controller_has_not_seen_leaves_the_step():
    seen = observed(older(0), older(1), older(2), seen=1)
    assert upgrade(seen, STARTING) is STARTING
    assert look_again_s(STARTING, given(STARTING, later_s=9999)) is None


def test_when_it_is_looked_at_again():
    assert look_again_s(None, given(None)) is None
    seen = observed(pod(0, ready=False), older(1), older(2))
    assert look_again_s(upgrade(seen, STARTING), given(STARTING)) == 5
    nearly = {"later_s": DEADLINE_S - 2}
    assert look_again_s(upgrade(seen, STARTING, **nearly), given(STARTING, **nearly)) == pytest.approx(2.1)
    back = upgrade(seen, STARTING, later_s=DEADLINE_S)
    assert look_again_s(back, given(STARTING, later_s=DEADLINE_S)) == 1
    assert look_again_s(back, given(back, later_s=DEADLINE_S)) is None


def test_a_status_that_another_version_wrote_otherwise_is_none():
    assert UpgradeStatus.read({"step": "Sideways"}) is None
    whole = STARTING.model_dump(mode="json", by_alias=True)
    assert UpgradeStatus.read(whole | {"since": "2026-01-01T00:00:00"}) is None  # of no time zone
    assert UpgradeStatus.read(STARTING.model_dump(mode="json", by_alias=True)) == STARTING
