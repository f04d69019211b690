"""When a pod's readiness gate opens, and how often that is written."""

from datetime import UTC, datetime

import pytest
from plan_world import load_balancer

from skylane_operator.handlers.marks import Marks
from skylane_operator.kube.cluster import Cluster
from skylane_operator.model.forwarder import ForwarderBackend
from skylane_operator.model.health_check import HealthCheck
from skylane_operator.model.key import Key, ObjectKey, service_owner
from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan.observed import AgentHealth, OwnerState, SickBackend
from skylane_operator.plan.types import ListenerPlan
from skylane_operator.readiness_gates import ReadinessGates

GATE = "skylane.dev/in-service"
POD, OWNER = Key("shop", "web-1"), service_owner(Key("shop", "web"))
ADDRESS = "10.244.0.5"
RUNS = OwnerState(pods=("edge-0",))
CHECK = HealthCheck(type="TCP", interval_seconds=5, timeout_seconds=1, unhealthy_threshold=3)


class World:
    def __init__(self, *, settled=True):
        self.now_s = 0.0
        self.written, self.marked = [], []
        marks = Marks(lambda _: None, lambda _: None, lambda: None)
        self.cluster = Cluster(None, (), marks, readiness_gates=True)
        self.gates = ReadinessGates(
            cluster=self.cluster,
            status=self,
            mark=self.marked.append,
            settled=lambda: settled,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            clock=lambda: self.now_s,
        )
        self.put()

    def put(self, *conditions):
        body = {
            "metadata": {"name": POD.name, "namespace": POD.namespace, "uid": "a"},
            "spec": {"readinessGates": [{"conditionType": GATE}]},
            "status": {"podIPs": [{"ip": ADDRESS}], "conditions": list(conditions)},
        }
        pod = Pod.model_validate(body)
        self.cluster._pod_changed(POD, self.cluster.pods.put(POD, pod), pod)

    def write(self, subject, status):
        """As the StatusWriter, and as the watch that tells of what it wrote."""
        assert subject.key == POD
        (condition,) = status["conditions"]
        self.written.append((condition["status"], condition["reason"]))
        self.put(condition)

    def forget(self, key):
        """The pod is gone."""

    def note(self, state, check=None, owner=OWNER):
        listener = load_balancer().spec.listeners[0].model_copy(update={"name": "web", "health_check": check})
        self.gates.note(
            owner, [ListenerPlan(listener, (ForwarderBackend(address=ADDRESS, port=80, weight=1),))], state
        )
        return self.gates.reconcile(POD)


def test_it_opens_when_every_pod_runs_it_and_stays_open():
    world = World()
    world.note(OwnerState(pods=("edge-0",), pending_listeners=frozenset({"web"})))
    world.note(OwnerState())
    assert world.written == [("False", "NotProgrammed")]
    world.note(RUNS)
    world.note(OwnerState())
    world.gates.forget(OWNER)
    world.gates.reconcile(POD)
    assert world.written == [("False", "NotProgrammed"), ("True", "InService")]


def test_every_owner_counts():
    world = World()
    world.note(OwnerState(), owner=ObjectKey("LoadBalancer", Key("shop", "edge")))
    world.note(RUNS)
    assert world.written == [("False", "NotProgrammed")]
    world.gates.forget(ObjectKey("LoadBalancer", Key("shop", "edge")))
    world.gates.reconcile(POD)
    assert world.written[-1] == ("True", "InService")


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        ({}, "HealthUnknown"),
        ({"edge-0": AgentHealth(1, (SickBackend(ADDRESS, 80, "refused"),))}, "Unhealthy"),
        ({"edge-0": AgentHealth(1, (SickBackend("10.244.0.6", 80, "refused"),))}, "HealthUnproven"),
        ({"edge-0": AgentHealth(2, (SickBackend("10.244.0.6", 80, "refused"),))}, "Unhealthy"),
    ],
)
def test_a_health_check_keeps_it_shut(health, reason):
    world = World()
    world.note(OwnerState(pods=("edge-0",), health={"web": health}), CHECK)
    assert world.written == [("False", reason)]


def test_it_counts_as_healthy_when_it_would_have_failed_by_now():
    world = World()
    well = OwnerState(pods=("edge-0",), health={"web": {"edge-0": AgentHealth(0)}})
    assert world.note(well, CHECK) == 16.0
    world.now_s = 10.0
    sick = {"edge-0": AgentHealth(1, (SickBackend(ADDRESS, 80, "refused"),))}
    assert world.note(OwnerState(pods=("edge-0",), health={"web": sick}), CHECK) is None
    assert world.note(well, CHECK) == 16.0
    world.now_s = 25.9
    assert world.gates.reconcile(POD) == pytest.approx(0.1)
    world.now_s = 26.0
    assert world.gates.reconcile(POD) is None
    assert world.written[-1] == ("True", "InService")
    assert len(world.written) == 4


def test_nothing_is_said_before_agents_have_had_time_to_call():
    world = World(settled=False)
    world.note(OwnerState())
    assert world.written == []
    world.note(RUNS)
    assert world.written == [("True", "InService")]


def test_a_look_that_finds_the_same_wakes_nobody():
    world = World()
    world.note(RUNS)
    world.marked.clear()
    world.note(RUNS)
    assert world.marked == []
