"""BGP peers on a stream: sent when they differ, once, and what agents say of them."""

import pytest

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_operator.agents.registry import Agents
from skylane_operator.agents.session import Session
from skylane_operator.model.key import Key
from skylane_operator.plan.observed import AgentSession
from skylane_operator.snapshot import NO_ROUTING, PodSnapshot

LB, POD = Key("default", "demo"), Key("default", "demo-skylane-0")
PEER = {
    "name": "rack-1",
    "address": "10.0.0.1",
    "port": 179,
    "peer_asn": 4200000000,
    "local_asn": 64512,
    "hold_time_s": 90,
    "keepalive_time_s": 0,
    "multihop": True,
    "password": "a secret",
    "graceful_restart": False,
    "communities": ["64512:100"],
    "med": 0,
    "as_path_prepend": 0,
}
ROUTING = {"generation": "p1", "peers": [PEER]}


def said(**fields):
    return pb.AgentMessage(**fields)


class Stream:
    """A pod's stream, and what the operator knows of the pod."""

    def __init__(self, routing_generation=""):
        self.changed = []
        self.agents = Agents(self.changed.append)
        self.session = Session(self.agents, POD, LB, "uid-1")
        self.session.open(pb.Hello(base_generation="b", routing_generation=routing_generation))

    def want(self, routing):
        self.agents.push(LB, {POD.name: PodSnapshot(base=None, listeners={}, routing=routing)})

    def ack(self, sequence, generation, error=""):
        ack = pb.Ack(
            sequence=sequence, base_generation="b", routing_generation=generation, routing_error=error
        )
        self.session.receive(said(ack=ack))

    @property
    def state(self):
        return self.agents.states_of(LB)[POD.name]


async def next_delta(deltas):
    return (await anext(deltas)).delta


async def test_peers_are_sent_as_they_are_and_only_when_they_differ():
    stream = Stream()
    stream.want(ROUTING)
    deltas = stream.session.deltas()
    delta = await next_delta(deltas)
    assert delta.routing.generation == "p1"
    assert (delta.routing.peers[0].password, delta.routing.peers[0].peer_asn) == ("a secret", 4200000000)
    assert delta.routing.peers[0].HasField("med")
    assert not delta.routing.peers[0].HasField("local_pref")
    stream.ack(1, "p1")
    stream.want({**ROUTING, "generation": "p2"})
    assert (await next_delta(deltas)).routing.generation == "p2"
    stream.ack(2, "p2")
    stream.want(NO_ROUTING)
    delta = await next_delta(deltas)
    assert delta.HasField("routing")
    assert (delta.routing.generation, list(delta.routing.peers)) == ("", [])


def due(stream):
    return stream.session._due()


def test_an_agent_that_has_them_is_told_nothing():
    stream = Stream("p1")
    stream.want(ROUTING)
    assert due(stream) is None
    stream.want(NO_ROUTING)
    assert due(stream).routing == NO_ROUTING


def test_an_agent_whose_peers_are_not_known_yet_keeps_what_it_has():
    stream = Stream("p1")
    stream.want(None)
    assert due(stream) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [("BIRD refuses it", "BIRD refuses it"), ("", "its agent knows no BGP peers; it is of an older version")],
)
async def test_what_was_refused_is_told_and_not_sent_again(error, told):
    stream = Stream()
    stream.want(ROUTING)
    deltas = stream.session.deltas()
    await next_delta(deltas)
    stream.ack(1, "", error)
    assert stream.state.routing_error == told
    assert due(stream) is None
    stream.want({**ROUTING, "generation": "p2"})
    assert due(stream).routing["generation"] == "p2"
    stream.ack(1, "p2")
    assert stream.state.routing_error == ""


def test_an_advertisement_is_the_pods_state_and_bounded():
    stream = Stream()
    advertisement = pb.Advertisement(
        routing_generation="p1",
        peers=[pb.PeerState(name=f"rack-{n}", established=True, error="x" * 1000) for n in range(50)],
        announced=50,
        vips=[f"198.51.100.{n}" for n in range(50)],
        withheld=1,
        reasons=[pb.WithheldVIP(vip="198.51.100.99", reason="y" * 1000)],
    )
    stream.changed.clear()
    stream.session.receive(said(advertisement=advertisement))
    stream.session.receive(said(advertisement=advertisement))
    found = stream.state.advertisement
    assert (found.generation, found.announced, len(found.vips), len(found.sessions)) == ("p1", 50, 10, 16)
    assert found.sessions[0] == AgentSession("rack-0", established=True, error="x" * 128)
    assert found.reasons == (("198.51.100.99", "y" * 128),)
    assert stream.changed == [LB]


def test_nothing_that_may_be_logged_shows_a_password():
    stream = Stream()
    stream.want(ROUTING)
    snapshot = stream.agents.desired(POD)
    assert snapshot.routing == ROUTING
    assert "a secret" not in repr(snapshot) + repr(due(stream))
