"""Which pod the VIPs are granted to: it stays, is released before it moves, and does not depend on who is connected."""

from datetime import UTC, datetime, timedelta

import pytest
from plan_world import load_balancer

from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan.observed import AgentListener, AgentState, Observed
from skylane_operator.plan.vip_owner import UNREADY_MAX_S, Candidate, Grant, vip_grant, vip_owner

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
FIT = {"ready": True, "connected": True, "stays": True}
CUT_OFF = {"ready": True, "stays": True}
GONE: dict[str, bool] = {}
LEAVING = {"leaving": True}


@pytest.mark.parametrize(
    ("pods", "owner"),
    [
        pytest.param([GONE, GONE], None, id="nobody is there"),
        pytest.param([FIT, FIT], 0, id="the first one that can"),
        pytest.param([GONE, FIT], 1, id="the one that can"),
        pytest.param([FIT, FIT | {"granted": True}], 1, id="stays where it is"),
        pytest.param([FIT, FIT | {"holds": True}], 1, id="stays, though the operator is new"),
        pytest.param([FIT, CUT_OFF | {"granted": True}], 1, id="stays, though its agent is away"),
        pytest.param([FIT | {"holds": True}, FIT | {"granted": True}], 1, id="what was told last counts"),
        pytest.param(
            [FIT, GONE | {"granted": True, "holds": True}], 0, id="moves from one that is not Ready"
        ),
        pytest.param([GONE, GONE | {"granted": True}], 1, id="stays where nobody else can"),
        pytest.param([FIT, LEAVING | {"granted": True, "holds": True}], None, id="is released first"),
        pytest.param([FIT, LEAVING | {"holds": True}], None, id="is waited for"),
        pytest.param([FIT, LEAVING], 0, id="was released"),
        pytest.param([FIT, GONE | {"holds": True}], 0, id="nobody waits for who may never answer"),
    ],
)
def test_owner(pods, owner):
    assert vip_owner([Candidate(ordinal, **pod) for ordinal, pod in enumerate(pods)]) == owner


def pod(name, *, ready=True, since_s=0.0, **metadata):
    since = (NOW - timedelta(seconds=since_s)).isoformat()
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": since}
    return Pod.model_validate(
        {
            "metadata": {"name": name, "namespace": "lb", "uid": name, **metadata},
            "status": {"phase": "Running", "conditions": [condition]},
        }
    )


def agent(*, arp=False, connected=True):
    return AgentState(connected, listeners={"web": AgentListener("a", arp=arp)}, pod_uid="known")


def granted(pods, agents, told=(), *, settled=True):
    observed = Observed(pods={one.metadata.name: one for one in pods}, agents=agents)
    return vip_grant(load_balancer(replicas=2), observed, told, NOW, settled=settled)


NAMES = ["demo-skylane-0", "demo-skylane-1"]


def test_one_pod_owns_them_whatever_is_known_of_it():
    assert vip_grant(load_balancer(), Observed(), (), NOW, settled=False) == Grant(0)


def test_nothing_is_told_before_every_running_pod_was_heard():
    pods = [pod(name) for name in NAMES]
    only_first = {NAMES[0]: agent()}
    assert granted(pods, only_first, settled=False) == Grant(None, known=False)
    both = {**only_first, NAMES[1]: agent(arp=True)}
    assert granted(pods, both, settled=False) == Grant(1)
    assert granted(pods, only_first) == Grant(0)


def test_a_forwarder_that_starts_again_keeps_them_for_a_while():
    agents = {name: agent() for name in NAMES}
    starting = [pod(NAMES[0], ready=False, since_s=UNREADY_MAX_S - 1), pod(NAMES[1])]
    assert granted(starting, agents, [NAMES[0]]) == Grant(0, look_again_s=UNREADY_MAX_S)
    starting[0] = pod(NAMES[0], ready=False, since_s=UNREADY_MAX_S)
    assert granted(starting, agents, [NAMES[0]]) == Grant(1)


@pytest.mark.parametrize(("ahead_s", "owner"), [(2.0, 0), (3600.0, 1)])
def test_a_clock_that_is_wrong_keeps_them_on_no_dead_pod(ahead_s, owner):
    """The node's clock is ahead of ours, or ours has been set back."""
    pods = [pod(NAMES[0], ready=False, since_s=-ahead_s), pod(NAMES[1])]
    agents = {name: agent() for name in NAMES}
    assert granted(pods, agents, [NAMES[0]]).ordinal == owner


def test_a_pod_that_is_deleted_releases_them():
    leaving = pod(NAMES[0], deletionTimestamp=NOW.isoformat())
    agents = {NAMES[0]: agent(arp=True), NAMES[1]: agent()}
    assert granted([leaving, pod(NAMES[1])], agents, [NAMES[0]]) == Grant(None)
    agents[NAMES[0]] = agent()
    assert granted([leaving, pod(NAMES[1])], agents) == Grant(1)
    assert granted([pod(NAMES[1])], agents, [NAMES[0]]) == Grant(1)
