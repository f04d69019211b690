import asyncio
import logging
import random

import grpc
import pytest
from agent_cases import base, listener, settings
from agent_operator import Authority, Operator, running, serving, until, write_credentials
from agent_proxy import FreezingProxy

from skylane_agent.agent import Agent
from skylane_agent.stream import OperatorStream, Parts, Timing

# Everything faster than in a pod, so that a test of reconnecting takes well under a second.
FAST = Timing(load_every_s=0.05, first_delay_s=0.02, longest_delay_s=0.1, refused_delay_s=0.1)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def folder(tmp_path, authority):
    write_credentials(tmp_path, authority)
    return tmp_path


@pytest.fixture
async def operator(authority):
    operator = Operator()
    async with serving(operator, authority) as port:
        operator.port, operator.authority = port, authority
        yield operator


def agent_in(folder, port, timing=FAST, **changes):
    return Agent(settings(folder, f"127.0.0.1:{port}", **changes), timing)


async def test_hello_names_the_pod_and_a_pod_with_nothing_has_nothing(folder, operator):
    async with running(agent_in(folder, operator.port)):
        hello = await (await operator.next_session()).next("hello")
    assert (hello.load_balancer_namespace, hello.load_balancer_name) == ("default", "demo")
    assert hello.pod_name == "demo-skylane-0"
    assert hello.version
    assert hello.base_generation == ""
    assert list(hello.listeners) == []


async def test_deltas_are_written_and_acknowledged_in_order(folder, operator):
    async with running(agent_in(folder, operator.port)):
        session = await operator.next_session()
        session.send(1, base=base("a" * 16), upserts=[listener("web", "1" * 16), listener("dns", "2" * 16)])
        session.send(2, upserts=[listener("web", "3" * 16)])
        session.send(3, removals=["dns"])
        acks = [await session.next("ack") for _ in range(3)]
    assert [ack.sequence for ack in acks] == [1, 2, 3]
    assert [state.name for state in acks[0].listeners] == ["dns", "web"]
    # An answer speaks of what the Delta named and is still there.
    assert [[state.name for state in ack.listeners] for ack in acks[1:]] == [["web"], []]
    # No forwarder is here: nothing runs, and nothing has failed either.
    assert {(state.generation, state.error) for ack in acks for state in ack.listeners} == {("", "")}
    assert (folder / "config/base.json").exists()
    assert '"3333333333333333"' in (folder / "config/listeners/web.json").read_text()
    assert not (folder / "config/listeners/dns.json").exists()


async def test_a_listener_that_fails_is_reported_and_the_others_are_applied(folder, operator):
    async with running(agent_in(folder, operator.port)):
        session = await operator.next_session()
        session.send(1, upserts=[listener("../web", "1" * 16), listener("dns", "2" * 16)])
        failed = await session.next("ack")
        session.send(2, removals=["../web"])
        again = await session.next("ack")
    assert {state.name: bool(state.error) for state in failed.listeners} == {"../web": True, "dns": False}
    assert "DNS label" in next(state.error for state in again.listeners if state.name == "../web")
    assert not (folder / "config/web.json").exists()


async def test_hello_of_a_restarted_agent_lists_what_is_on_disk(folder, operator):
    async with running(agent_in(folder, operator.port)):
        session = await operator.next_session()
        session.send(1, upserts=[listener("web", "1" * 16)])
        await session.next("ack")
    async with running(agent_in(folder, operator.port)):
        hello = await (await operator.next_session()).next("hello")
    assert [state.name for state in hello.listeners] == ["web"]


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.OK,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    ],
)
async def test_a_stream_that_ends_is_dialled_again(folder, operator, code):
    async with running(agent_in(folder, operator.port)):
        session = await operator.next_session()
        await session.next("hello")
        session.end(code)
        await (await operator.next_session()).next("hello")


async def test_an_operator_that_restarts_is_found_again(folder, authority):
    first, second = Operator(), Operator()
    async with serving(first, authority) as port:
        agent = agent_in(folder, port)
        stack = running(agent)
        await stack.__aenter__()
        await (await first.next_session()).next("hello")
    try:
        async with serving(second, authority, port):
            await (await second.next_session()).next("hello")
            assert agent.stream.connected
    finally:
        await stack.__aexit__(None, None, None)


async def test_the_token_is_read_anew_for_every_stream_and_never_logged(folder, operator, caplog):
    caplog.set_level(logging.DEBUG)
    async with running(agent_in(folder, operator.port)):
        first = await operator.next_session()
        await first.next("hello")  # gRPC loses the status of a call that ends during a write
        (folder / "token").write_text("second-token\n")
        first.end(grpc.StatusCode.UNAUTHENTICATED)
        second = await operator.next_session()
    assert (first.token, second.token) == ("Bearer first-token", "Bearer second-token")
    assert "UNAUTHENTICATED" in caplog.text
    assert "-token" not in caplog.text


async def logged(caplog, text):
    await until(lambda: text in caplog.text)


async def test_an_operator_of_another_authority_is_refused_until_the_ca_file_has_it(folder, operator, caplog):
    (folder / "ca.crt").write_bytes(Authority().certificate)
    caplog.set_level(logging.INFO)
    agent = agent_in(folder, operator.port)
    async with running(agent):
        await logged(caplog, "UNAVAILABLE")
        assert operator.sessions.empty()
        assert not agent.stream.connected
        write_credentials(folder, operator.authority)
        await (await operator.next_session()).next("hello")


async def test_a_certificate_for_another_name_is_refused(folder, operator, caplog):
    caplog.set_level(logging.INFO)
    async with running(agent_in(folder, operator.port, operator_server_name="skylane-operator.other.svc")):
        await logged(caplog, "UNAVAILABLE")
    assert operator.sessions.empty()


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("token", None, "No such file"),
        ("token", "two words", "no bearer token"),
        ("ca.crt", None, "No such file"),
        ("ca.crt", "no PEM", ""),
    ],
)
async def test_files_that_are_missing_or_wrong_are_waited_for(
    folder, operator, caplog, file, content, complaint
):
    good = (folder / file).read_text()
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    caplog.set_level(logging.INFO)
    async with running(agent_in(folder, operator.port)):
        await logged(caplog, complaint or "UNAVAILABLE")
        assert operator.sessions.empty()
        (folder / file).write_text(good)
        await (await operator.next_session()).next("hello")
    assert "two words" not in caplog.text


async def test_a_half_open_stream_is_noticed_by_keepalive(folder, operator):
    timing = Timing(
        load_every_s=60, keepalive_s=0.5, keepalive_timeout_s=0.5, first_delay_s=0.02, longest_delay_s=0.1
    )
    async with FreezingProxy(operator.port) as proxy, running(agent_in(folder, proxy.port, timing)):
        await (await operator.next_session()).next("hello")
        proxy.freeze()
        await (await operator.next_session()).next("hello")


def test_the_default_keepalive_notices_a_dead_peer_within_20_s():
    timing = Timing()
    assert timing.keepalive_s + timing.keepalive_timeout_s <= 20
    assert timing.write_timeout_s <= 20


async def test_an_address_that_takes_the_call_and_stays_mute_is_given_up(folder):
    """What a leader that has died with its node looks like, until the Service knows another one."""
    muted = []
    server = await asyncio.start_server(lambda _, writer: muted.append(writer), "127.0.0.1")
    timing = Timing(connect_s=0.3, first_delay_s=0.02, longest_delay_s=0.1)
    agent = agent_in(folder, server.sockets[0].getsockname()[1], timing)
    try:
        async with running(agent):
            await until(lambda: len(muted) >= 3)
    finally:
        server.close()
        for writer in muted:
            writer.transport.abort()


def test_an_operator_that_is_away_is_dialled_often_at_first_and_seldom_later():
    timing = Timing()
    stream = OperatorStream(None, Parts(None, None, None, None, None), random.Random(1), timing)  # noqa: S311 - a test's
    waits = stream._delays()
    at_first = [next(waits) for _ in range(timing.soon_attempts)]
    assert max(at_first) <= 0.5
    assert sum(at_first) > 10  # a Lease ends sooner
    later = [next(waits) for _ in range(50)]
    assert all(2.5 <= wait_s <= 5.0 for wait_s in later[3:])
