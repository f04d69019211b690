"""The whole agent with health checks: real backends, a real forwarder, a real operator's end of the stream."""

import asyncio
import contextlib
import json

import pytest
from agent_backends import Web, check_message, local_address, unused
from agent_cases import listener, settings
from agent_forwarder import running_forwarder, write_base
from agent_operator import DEADLINE_S, Authority, Operator, running, serving, until, write_credentials

from skylane_agent.agent import Agent
from skylane_agent.health.checked import MARK
from skylane_agent.stream import Timing
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

FAST = Timing(load_every_s=60, health_pause_s=0.02, first_delay_s=0.02, longest_delay_s=0.1)
GENERATION = "1" * 16


@pytest.fixture
async def operator(tmp_path):
    authority = Authority()
    write_credentials(tmp_path, authority)
    write_base(tmp_path / "config")
    operator = Operator()
    async with serving(operator, authority) as port:
        operator.port = port
        yield operator


@pytest.fixture(scope="module")
def address():
    with local_address() as address:
        yield address


@pytest.fixture
async def webs(address):
    """Three web servers."""
    servers = [Web(address) for _ in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.serving())
        yield servers


def agent_for(operator, folder):
    return Agent(settings(folder, f"127.0.0.1:{operator.port}"), FAST)


@contextlib.asynccontextmanager
async def running_agent(operator, folder):
    agent = agent_for(operator, folder)
    async with running(agent):
        await until(lambda: agent.local.running)
        yield agent, await operator.next_session()


def checked_listener(endpoints, generation=GENERATION, name="web", port=80, **check):
    message = listener(name, generation, port=port, backends=0)
    message.backends.extend(pb.Backend(address=one.address, port=one.port, weight=5) for one in endpoints)
    message.health_check.CopyFrom(check_message(**check))
    return message


async def acked(session, sequence):
    while (ack := await session.next("ack")).sequence != sequence:
        pass
    return {state.name: (state.generation, state.error) for state in ack.listeners}


async def running_weights(folder, name="web"):
    """As the forwarder itself says; none of a listener that does not run yet."""
    reader, writer = await asyncio.open_unix_connection(folder / "control.sock")
    writer.write(json.dumps({"command": "backends", "listener": name}).encode() + b"\n")
    reply = json.loads(await reader.readline())
    writer.close()
    return [backend["weight"] for backend in reply.get("backends", ())]


async def until_weights(folder, wanted, name="web"):
    async with asyncio.timeout(DEADLINE_S):
        while await running_weights(folder, name) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_health(session, condition, name="web"):
    """The first Health that says so of a listener."""
    while True:
        found = {one.name: one for one in (await session.next("health")).listeners}
        if name in found and condition(found[name]):
            return found[name]


async def probed_anew(web, times=3):
    """The check has asked so many times from now on."""
    before = len(web.seen)
    await until(lambda: len(web.seen) >= before + times)


async def test_a_sick_backend_gets_no_new_flows_until_it_is_healthy_again(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            session.send(1, upserts=[checked_listener([web.endpoint for web in webs])])
            assert await acked(session, 1) == {"web": (GENERATION, "")}
            assert await running_weights(tmp_path) == [5, 5, 5]
            webs[1].status = 503
            await until_weights(tmp_path, [5, 0, 5])
            report = await until_health(session, lambda one: one.unhealthy == 1)
            endpoint = webs[1].endpoint
            assert list(report.sick) == [
                pb.SickBackend(address=endpoint.address, port=endpoint.port, reason="HTTP status 503")
            ]
            assert not report.panic
            # What the operator compares is its own.
            assert [state.generation for state in agent.local.listener_states()] == [GENERATION]
            webs[1].status = 200
            await until_weights(tmp_path, [5, 5, 5])
            await until_health(session, lambda one: one.unhealthy == 0)
            assert webs[0].seen[0].path == "/healthz"


async def test_it_acts_while_the_operator_is_away(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            session.send(1, upserts=[checked_listener([web.endpoint for web in webs])])
            await acked(session, 1)
            agent.stream._settings = settings(tmp_path, "127.0.0.1:9")  # nobody is there any more
            session.end(None)
            await until(lambda: not agent.stream.connected)
            webs[0].status = 503
            await until_weights(tmp_path, [0, 5, 5])


async def test_when_none_is_healthy_all_get_their_weights(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener([web.endpoint for web in webs])])
            await acked(session, 1)
            webs[0].status = webs[1].status = 503
            await until_weights(tmp_path, [0, 0, 5])
            webs[2].status = 503
            await until_weights(tmp_path, [5, 5, 5])
            report = await until_health(session, lambda one: one.panic)
            assert report.unhealthy == 3
            webs[2].status = 200
            await until_weights(tmp_path, [0, 0, 5])
            assert not (await until_health(session, lambda one: one.unhealthy == 2)).panic


async def test_at_a_panic_threshold_all_get_their_weights(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener([web.endpoint for web in webs], panic=40)])
            await acked(session, 1)
            webs[0].status = 503
            await until_weights(tmp_path, [0, 5, 5])
            webs[1].status = 503
            assert (await until_health(session, lambda one: one.panic)).unhealthy == 2
            assert await running_weights(tmp_path) == [5, 5, 5]


async def test_what_was_known_holds_after_a_restart_of_agent_and_forwarder(tmp_path, operator, webs):
    # So seldom that the second agent cannot have probed by the time that it is asked.
    slow = {"interval_ms": 3_600_000}
    endpoints = [web.endpoint for web in webs]
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener(endpoints)])
            webs[1].status = 503
            await until_weights(tmp_path, [5, 0, 5])
            session.send(2, upserts=[checked_listener(endpoints, "2" * 16, **slow)])
            assert await acked(session, 2) == {"web": ("2" * 16, "")}
            assert await running_weights(tmp_path) == [5, 0, 5]
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            states = agent.local.listener_states()
            assert [(state.generation, state.error) for state in states] == [("2" * 16, "")]
            assert (await until_health(session, lambda _: True)).sick[0].reason == "HTTP status 503"
            assert await running_weights(tmp_path) == [5, 0, 5]
            # The next results count, whoever began to count.
            session.send(1, upserts=[checked_listener(endpoints, "3" * 16)])
            webs[1].status = 200
            await until_weights(tmp_path, [5, 5, 5])


async def test_a_new_backend_is_used_until_it_fails_and_one_that_returns_is_new(tmp_path, operator, webs):
    nobody = await unused(webs[0].endpoint.address)
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener([webs[0].endpoint])])
            await acked(session, 1)
            with_it = [webs[0].endpoint, nobody]
            session.send(2, upserts=[checked_listener(with_it, "2" * 16, interval_ms=3_600_000)])
            await acked(session, 2)
            assert await running_weights(tmp_path) == [5, 5]
            session.send(3, upserts=[checked_listener(with_it, "3" * 16)])
            await until_weights(tmp_path, [5, 0])
            session.send(4, upserts=[checked_listener([webs[0].endpoint], "4" * 16)])
            await acked(session, 4)
            session.send(5, upserts=[checked_listener(with_it, "5" * 16, interval_ms=3_600_000)])
            await acked(session, 5)
            assert await running_weights(tmp_path) == [5, 5]


async def test_a_listener_whose_check_goes_has_all_weights_and_no_probes(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            message = checked_listener([web.endpoint for web in webs])
            session.send(1, upserts=[message])
            webs[0].status = 503
            await until_weights(tmp_path, [0, 5, 5])
            message.ClearField("health_check")
            message.generation = "2" * 16
            session.send(2, upserts=[message])
            assert await acked(session, 2) == {"web": ("2" * 16, "")}
            assert await running_weights(tmp_path) == [5, 5, 5]
            await until(lambda: not len(agent.health.prober))
            assert not (tmp_path / "config/health/web.json").exists()
            while (await session.next("health")).listeners:
                pass


async def test_listeners_that_check_a_backend_alike_share_its_probe(tmp_path, operator, webs):
    endpoint = webs[0].endpoint
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            alike = [
                checked_listener([endpoint], name=name, port=port) for name, port in (("a", 80), ("b", 81))
            ]
            other = checked_listener([endpoint], name="c", port=82, timeout_ms=500)
            session.send(1, upserts=[*alike, other])
            await acked(session, 1)
            await until(lambda: len(agent.health.reports) == 3)
            assert len(agent.health.prober) == 2
            session.send(2, removals=["a"])
            await acked(session, 2)
            await until(lambda: len(agent.health.reports) == 2)
            assert len(agent.health.prober) == 2
            session.send(3, removals=["b"])
            await until(lambda: len(agent.health.prober) == 1)


async def test_a_refused_generation_leaves_check_and_weights_of_the_one_that_runs(tmp_path, operator, webs):
    endpoints = [web.endpoint for web in webs]
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener(endpoints)])
            webs[0].status = 503
            await until_weights(tmp_path, [0, 5, 5])
            bad = checked_listener(endpoints, "2" * 16)
            bad.vip = "10.77.0.101"
            session.send(2, upserts=[bad])
            generation, error = (await acked(session, 2))["web"]
            assert generation == GENERATION
            assert "vip: " in error
            webs[0].status = 200
            await until_weights(tmp_path, [5, 5, 5])


async def test_a_check_that_the_agent_does_not_know_is_reported(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener([webs[0].endpoint], kind="quic")])
            generation, error = (await acked(session, 1))["web"]
            assert generation == ""
            assert error.startswith("health_check: ")


async def test_a_listener_that_has_lost_its_record_is_asked_for_again(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener([webs[0].endpoint])])
            await acked(session, 1)
        (tmp_path / "config/health/web.json").write_text("{")
        async with running_agent(operator, tmp_path) as (_, session):
            assert [state.generation for state in (await session.next("hello")).listeners] == [""]


async def test_an_agent_that_was_killed_between_record_and_file_finishes_it(tmp_path, operator, webs):
    endpoints = [web.endpoint for web in webs]
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener(endpoints, interval_ms=3_600_000)])
            await acked(session, 1)
        file = tmp_path / "config/health/web.json"
        record = json.loads(file.read_text())
        record["sick"] = [{**endpoints[2]._asdict(), "reason": "refused"}]
        file.write_text(json.dumps(record))
        async with running_agent(operator, tmp_path) as (_, session):
            assert [state.generation for state in (await session.next("hello")).listeners] == [GENERATION]
            assert await running_weights(tmp_path) == [5, 5, 0]


async def test_what_cannot_be_written_is_tried_again(tmp_path, operator, webs, caplog):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[checked_listener([web.endpoint for web in webs])])
            await acked(session, 1)
            file = tmp_path / "config/listeners/web.json"
            file.unlink()
            file.mkdir()
            webs[0].status = 503
            await until(lambda: "unhealthy backends cannot be written" in caplog.text)
            file.rmdir()
            await until_weights(tmp_path, [0, 5, 5])


async def test_without_a_forwarder_the_weights_wait_on_disk(tmp_path, operator, webs):
    file = tmp_path / "config/listeners/web.json"
    async with running(agent_for(operator, tmp_path)):
        session = await operator.next_session()
        session.send(1, upserts=[checked_listener([web.endpoint for web in webs])])
        webs[0].status = 503
        await until_health(session, lambda one: one.unhealthy == 1)
    written = json.loads(file.read_text())
    assert [backend["weight"] for backend in written["backends"]] == [0, 5, 5]
    assert written["generation"].startswith(GENERATION + MARK)


async def test_nothing_is_said_of_health_where_nothing_is_checked_or_has_changed(tmp_path, operator, webs):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", GENERATION)])
            await acked(session, 1)
            session.send(2, upserts=[checked_listener([webs[0].endpoint], "2" * 16)])
            await until_health(session, lambda one: one.unhealthy == 0)
            await probed_anew(webs[0], 5)
            session.send(3, removals=["web"])
            assert list((await session.next("health")).listeners) == []
