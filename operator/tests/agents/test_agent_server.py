import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import pytest
from operator_support import eventually

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_api.forwarder.v1 import forwarder_pb2_grpc
from skylane_operator.agents import server as server_module
from skylane_operator.agents import session as session_module
from skylane_operator.agents.registry import Agents
from skylane_operator.agents.server import AgentServer, Certificate
from skylane_operator.agents.tls import CA_CERTIFICATE, CERTIFICATE, KEY, renewed
from skylane_operator.errors import ApiUnavailableError
from skylane_operator.model.key import Key
from skylane_operator.snapshot import PodSnapshot

NAME = "skylane-operator.skylane.svc"
LB = Key("shop", "edge")
POD = Key("shop", "edge-skylane-0")


@dataclass
class Identity:
    namespace: str = "shop"
    service_account: str = "edge-skylane"
    pod_name: str = "edge-skylane-0"
    pod_uid: str = "uid-0"


IDENTITIES = {
    "good": Identity(),
    "other-pod": Identity(pod_name="edge-skylane-1"),
    "other-namespace": Identity(namespace="bank"),
    "other-account": Identity(service_account="default"),
}


async def review(token):
    if token == "no-api":  # noqa: S105
        raise ApiUnavailableError("the API server is away")
    return IDENTITIES.get(token)


def listener(name, generation="1" * 16, *addresses):
    return {
        "version": 1,
        "name": name,
        "generation": generation,
        "vip": "198.51.100.10",
        "port": 80,
        "protocol": "tcp",
        "scheduler": "wrr",
        "hash_on": "source",
        "on_backend_removal": "drain",
        "arp": True,
        "timeouts": {"established_s": 900, "syn_s": 60, "fin_s": 60, "udp_s": 180},
        "client_address": "none",
        "session_affinity_s": 0,
        "max_connections": 0,
        "client_limits": {"max_connections": 0, "new_connections_per_second": 0},
        "allowed_source_ranges": [],
        "denied_source_ranges": [],
        "backends": [{"address": address, "port": 8080, "weight": 1} for address in addresses],
    }


BASE = {
    "version": 1,
    "generation": "b" * 16,
    "workers": 1,
    "poll_mode": "adaptive",
    "half_open_percent": 50,
    "unknown_tcp": "reset",
    "steering": "auto",
    "max_flows_per_worker": 1024,
    "ports": [
        {
            "name": "external",
            "driver": "af_packet",
            "interface": "net1",
            "resource": "skylane.dev/nic",
            "address": "10.77.0.11/24",
            "gateway": "10.77.0.1",
            "mtu": 1500,
        }
    ],
    "local_addresses": ["10.77.0.101"],
}


def snapshot(*listeners):
    return PodSnapshot(base=BASE, listeners={one["name"]: one for one in listeners})


class Operator:
    """The server, as the reconciler sees it."""

    def __init__(self):
        self.changed = []
        self.agents = Agents(self.changed.append)
        self.files = renewed(None, NAME, datetime.now(UTC))
        self.server = AgentServer(
            self.agents, review, lambda: Certificate(self.files[KEY], self.files[CERTIFICATE])
        )
        self.port = 0

    def push(self, *listeners):
        self.agents.push(LB, {POD.name: snapshot(*listeners)})

    @property
    def state(self):
        return self.agents.states_of(LB)[POD.name]


@pytest.fixture
async def operator():
    operator = Operator()
    operator.port = await operator.server.start("127.0.0.1:0")
    yield operator
    await operator.server.stop()


class Agent:
    """A client of the contract that does what the test says and nothing else."""

    def __init__(self, stream):
        self.stream = stream

    async def hello(self, base_generation="", listeners=(), **changes):
        fields = {
            "load_balancer_namespace": LB.namespace,
            "load_balancer_name": LB.name,
            "pod_name": POD.name,
        }
        states = [
            pb.ListenerState(name=name, generation=generation) for name, generation in dict(listeners).items()
        ]
        hello = pb.Hello(**{**fields, **changes}, base_generation=base_generation, listeners=states)
        await self.stream.write(pb.AgentMessage(hello=hello))

    async def delta(self):
        message = await asyncio.wait_for(self.stream.read(), 5)
        assert message is not grpc.aio.EOF, f"{await self.stream.code()}: {await self.stream.details()}"
        return message.delta

    async def ack(self, sequence, base_generation="b" * 16, errors=(), **listeners):
        states = [
            pb.ListenerState(name=name, generation=generation, error=dict(errors).get(name, ""))
            for name, generation in listeners.items()
        ]
        ack = pb.Ack(sequence=sequence, base_generation=base_generation, listeners=states)
        await self.stream.write(pb.AgentMessage(ack=ack))

    async def refusal(self):
        return await asyncio.wait_for(self.stream.code(), 5)


@contextlib.asynccontextmanager
async def agent(operator, token="good"):  # noqa: S107
    credentials = grpc.ssl_channel_credentials(operator.files[CA_CERTIFICATE])
    options = (("grpc.ssl_target_name_override", NAME),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{operator.port}", credentials, options) as channel:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        yield Agent(forwarder_pb2_grpc.ForwarderStub(channel).Stream(metadata=metadata))


async def test_a_new_pod_gets_everything_and_its_ack_is_its_state(operator):
    operator.push(listener("web", "1" * 16, "10.244.0.5"))
    async with agent(operator) as one:
        await one.hello()
        delta = await one.delta()
        assert (delta.sequence, delta.base.generation, list(delta.removals)) == (1, "b" * 16, [])
        assert delta.base.ports[0].gateway == "10.77.0.1"
        assert delta.upserts[0].timeouts.established_s == 900
        assert delta.upserts[0].backends[0].address == "10.244.0.5"
        await one.ack(1, web="1" * 16)
        await eventually(lambda: operator.state.listeners.get("web"), "the Ack")
        assert (operator.state.connected, operator.state.base_generation) == (True, "b" * 16)
    await eventually(lambda: not operator.state.connected, "the end of the stream to be noticed")
    assert operator.state.listeners["web"].generation == "1" * 16
    assert set(operator.changed) == {LB}


async def test_an_agent_that_has_it_all_is_told_nothing_and_then_only_what_changed(operator):
    operator.push(listener("web"), listener("dns"))
    async with agent(operator) as one:
        await one.hello("b" * 16, {"web": "1" * 16, "dns": "1" * 16})
        await eventually(operator.agents.connection_count, "the Hello")
        operator.push(listener("web", "2" * 16), listener("dns"))
        delta = await one.delta()
        assert (delta.sequence, [up.name for up in delta.upserts], delta.HasField("base")) == (
            1,
            ["web"],
            False,
        )


async def test_changes_while_an_ack_is_due_become_one_delta(operator):
    operator.push(listener("web"))
    async with agent(operator) as one:
        await one.hello("b" * 16)
        assert (await one.delta()).sequence == 1
        for generation in "23456":
            operator.push(listener("web", generation * 16), listener(f"new-{generation}"))
        await one.ack(1, web="1" * 16)
        delta = await one.delta()
        assert {up.name: up.generation for up in delta.upserts} == {"web": "6" * 16, "new-6": "1" * 16}


async def test_what_is_no_longer_planned_is_removed(operator):
    operator.push(listener("web"))
    async with agent(operator) as one:
        await one.hello("b" * 16, {"web": "1" * 16, "old": "1" * 16})
        assert list((await one.delta()).removals) == ["old"]


async def test_a_refused_generation_is_not_sent_again_but_the_next_one_is(operator):
    operator.push(listener("web"), listener("bad"))
    async with agent(operator) as one:
        await one.hello("b" * 16)
        await one.delta()
        await one.ack(1, web="1" * 16, bad="", errors={"bad": "line 7: no"}.items())
        await eventually(lambda: operator.state.listeners.get("bad"), "the error")
        assert operator.state.listeners["bad"].error == "line 7: no"
        operator.push(listener("web", "2" * 16), listener("bad"))
        assert [up.name for up in (await one.delta()).upserts] == ["web"]
        await one.ack(2, web="2" * 16, bad="")
        operator.push(listener("web", "2" * 16), listener("bad", "2" * 16))
        assert [up.name for up in (await one.delta()).upserts] == ["bad"]


async def test_an_unasked_ack_tells_of_a_restart(operator):
    operator.push(listener("web"))
    async with agent(operator) as one:
        await one.hello("b" * 16, {"web": "1" * 16})
        await one.ack(0, "b" * 16)
        delta = await one.delta()
        assert [up.name for up in delta.upserts] == ["web"]


async def test_a_large_configuration_comes_in_portions(operator, monkeypatch):
    monkeypatch.setattr(session_module, "MAX_ENTRIES_A_DELTA", 4)
    operator.push(*(listener(f"web-{number}", "1" * 16, "10.0.0.1") for number in range(3)))
    async with agent(operator) as one:
        await one.hello("b" * 16)
        first = [up.name for up in (await one.delta()).upserts]
        await one.ack(1, **dict.fromkeys(first, "1" * 16))
        assert first + [up.name for up in (await one.delta()).upserts] == ["web-0", "web-1", "web-2"]


async def test_source_ranges_count_for_the_size_of_a_portion(operator, monkeypatch):
    monkeypatch.setattr(session_module, "MAX_ENTRIES_A_DELTA", 4)
    ranges = {"denied_source_ranges": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]}
    operator.push(*({**listener(f"web-{number}"), **ranges} for number in range(2)))
    async with agent(operator) as one:
        await one.hello("b" * 16)
        first = (await one.delta()).upserts
        assert [(up.name, len(up.denied_source_ranges)) for up in first] == [("web-0", 3)]


async def test_a_newer_stream_of_a_pod_ends_the_older(operator):
    operator.push(listener("web"))
    async with agent(operator) as old, agent(operator) as new:
        await old.hello("b" * 16, {"web": "1" * 16})
        await eventually(operator.agents.connection_count, "the first stream")
        await new.hello("b" * 16, {"web": "1" * 16})
        assert await old.refusal() == grpc.StatusCode.ABORTED
        assert operator.state.connected


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", grpc.StatusCode.UNAUTHENTICATED),
        ("unknown", grpc.StatusCode.UNAUTHENTICATED),
        ("other-pod", grpc.StatusCode.PERMISSION_DENIED),
        ("other-namespace", grpc.StatusCode.PERMISSION_DENIED),
        ("other-account", grpc.StatusCode.PERMISSION_DENIED),
        ("no-api", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_who_is_not_the_pod_is_refused(operator, token, code):
    operator.push(listener("web"))
    async with agent(operator, token) as stranger:
        # Who has no name is refused before the Hello; gRPC says INTERNAL to a write that comes after the refusal.
        if token in IDENTITIES:
            await stranger.hello()
        assert await stranger.refusal() == code
    assert operator.agents.connection_count() == 0


async def test_a_pod_may_not_speak_for_another_load_balancer(operator):
    async with agent(operator) as one:
        await one.hello(load_balancer_name="other")
        assert await one.refusal() == grpc.StatusCode.PERMISSION_DENIED


async def test_an_agent_that_does_not_answer_is_let_go(operator, monkeypatch):
    monkeypatch.setattr(session_module, "ACK_TIMEOUT_S", 0.05)
    operator.push(listener("web"))
    async with agent(operator) as one:
        await one.hello()
        await one.delta()
        assert await one.refusal() == grpc.StatusCode.FAILED_PRECONDITION


async def test_an_agent_that_says_nothing_is_let_go(operator, monkeypatch):
    monkeypatch.setattr(server_module, "HELLO_TIMEOUT_S", 0.05)
    async with agent(operator) as one:
        assert await one.refusal() == grpc.StatusCode.FAILED_PRECONDITION


async def test_flows_are_summed_over_listeners(operator):
    operator.push(listener("web"))
    async with agent(operator) as one:
        await one.hello("b" * 16, {"web": "1" * 16})
        load = pb.Load(listeners=[pb.ListenerLoad(name="web", active_flows=7)])
        await one.stream.write(pb.AgentMessage(load=load))
        await eventually(lambda: operator.agents.active_flows() == {(LB, "web"): 7}, "the Load")


async def test_a_renewed_certificate_is_shown_to_the_next_agent(operator):
    operator.push(listener("web"))
    operator.files = renewed(None, NAME, datetime.now(UTC))  # another authority altogether
    async with agent(operator) as one:
        await one.hello()
        assert (await one.delta()).sequence == 1


async def test_a_pod_that_is_planned_no_longer_is_forgotten_with_its_stream(operator):
    operator.push(listener("web"))
    async with agent(operator) as one:
        await one.hello("b" * 16, {"web": "1" * 16})
        await eventually(lambda: operator.agents.connection_count() == 1, "the Hello")
        operator.agents.push(LB, {})
        assert operator.state.connected
    await eventually(lambda: not operator.agents.states_of(LB), "the pod to be forgotten")
