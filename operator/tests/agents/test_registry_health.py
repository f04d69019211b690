"""What agents say of their health checks, as the registry keeps it."""

import pytest

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_operator.agents.messages import listener_message
from skylane_operator.agents.registry import Agents
from skylane_operator.agents.session import Session
from skylane_operator.model.key import Key, service_owner
from skylane_operator.plan.observed import AgentHealth, SickBackend
from skylane_operator.snapshot import OwnedFiles, PodSnapshot

LB = Key("shop", "edge")
POD = Key("shop", "edge-skylane-0")


@pytest.fixture
def changed():
    return []


@pytest.fixture
def agents(changed):
    agents = Agents(changed.append)
    agents.push(LB, {POD.name: None})
    return agents


class Served:
    """A Service with a listener `web`, which has a check unless it is said otherwise, beside the LoadBalancer's own ones."""

    owner = service_owner(Key("shop", "web"))

    def __init__(self):
        self.changed, self.owner_changed = [], []
        self.agents = Agents(self.changed.append, self.owner_changed.append)
        self.agents.push(LB, {POD.name: PodSnapshot({"generation": "b"}, {})})
        self.push(health_check={"type": "tcp"})
        self.session = opened(self.agents)
        self.changed.clear()
        self.owner_changed.clear()

    def push(self, **check):
        files = {"web": {"name": "web", "generation": "g", **check}}
        self.agents.push_owned(LB, self.owner, OwnedFiles(files, files))

    @property
    def health(self):
        return self.agents.owner_state(LB, self.owner).health


def opened(agents, pod_uid="uid-0"):
    session = Session(agents, POD, LB, pod_uid)
    session.open(pb.Hello(base_generation="b"))
    return session


def says(session, **listener):
    health = pb.Health(listeners=[pb.ListenerHealth(name="web", **listener)])
    session.receive(pb.AgentMessage(health=health))


def health_of(agents):
    return agents.states_of(LB)[POD.name].health


def test_what_an_agent_finds_is_kept_and_wakes_the_reconciler_when_it_is_new(agents, changed):
    session = opened(agents)
    changed.clear()
    sick = pb.SickBackend(address="10.244.0.5", port=80, reason="HTTP status 503")
    says(session, unhealthy=1, sick=[sick])
    assert health_of(agents) == {"web": AgentHealth(1, (SickBackend("10.244.0.5", 80, "HTTP status 503"),))}
    assert changed == [LB]
    says(session, unhealthy=1, sick=[sick])
    assert changed == [LB]
    says(session, unhealthy=0)
    assert changed == [LB, LB]


def test_what_is_found_behind_a_service_wakes_it_and_not_its_load_balancer():
    served = Served()
    assert served.health == {}
    says(served.session, unhealthy=1)
    says(served.session, unhealthy=1)
    assert (served.owner_changed, served.changed) == ([served.owner], [])
    assert served.health == {"web": {POD.name: AgentHealth(1)}}
    served.push()  # without a check: what was found before is of no interest
    assert served.health == {}


def test_of_several_listeners_only_the_one_that_differs_wakes_anybody():
    served = Served()
    reports = [pb.ListenerHealth(name="web", unhealthy=1), pb.ListenerHealth(name="own")]
    served.session.receive(pb.AgentMessage(health=pb.Health(listeners=reports)))
    assert (served.owner_changed, served.changed) == ([served.owner], [LB])
    reports[1].unhealthy = 2
    served.session.receive(pb.AgentMessage(health=pb.Health(listeners=reports)))
    assert (served.owner_changed, served.changed) == ([served.owner], [LB, LB])


def test_an_ack_leaves_it_and_so_does_another_stream_of_the_same_pod(agents):
    session = opened(agents)
    says(session, unhealthy=2, panic=True)
    session.receive(pb.AgentMessage(ack=pb.Ack(base_generation="c")))
    assert health_of(agents)["web"].panic
    opened(agents)
    assert health_of(agents)["web"].panic


def test_another_pod_of_the_same_name_begins_anew(agents):
    says(opened(agents), unhealthy=2)
    opened(agents, "uid-1")
    assert health_of(agents) == {}


def test_a_stream_that_was_superseded_says_nothing_any_more(agents):
    old = opened(agents)
    opened(agents)
    says(old, unhealthy=2)
    assert health_of(agents) == {}


def test_what_an_agent_says_has_an_end(agents):
    session = opened(agents)
    says(session, unhealthy=500, sick=[pb.SickBackend(reason="x" * 5000)] * 500, obstacle="y" * 5000)
    (health,) = health_of(agents).values()
    assert (len(health.sick), len(health.sick[0].reason), len(health.obstacle)) == (10, 128, 128)


def test_a_check_becomes_its_message():
    check = {"type": "http", "port": 0, "http": {"path": "/", "host": "", "expected_statuses": ["200-399"]}}
    message = listener_message({"version": 1, "name": "web", "backends": [], "health_check": check})
    assert message.health_check.http.expected_statuses == ["200-399"]
    assert not message.health_check.HasField("tls")
