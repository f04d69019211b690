"""The whole agent between a real operator's end and a real forwarder."""

import contextlib
import subprocess

import grpc
import pytest
from agent_cases import listener, settings
from agent_forwarder import BASE_GENERATION, running_forwarder, write_base
from agent_operator import Authority, Operator, running, serving, until, write_credentials

from skylane_agent import local
from skylane_agent.agent import Agent
from skylane_agent.stream import Timing

FAST = Timing(load_every_s=0.05, first_delay_s=0.02, longest_delay_s=0.1, refused_delay_s=0.1)


@pytest.fixture
async def operator(tmp_path):
    authority = Authority()
    write_credentials(tmp_path, authority)
    write_base(tmp_path / "config")
    operator = Operator()
    async with serving(operator, authority) as port:
        operator.port = port
        yield operator


def agent_for(operator, folder):
    return Agent(settings(folder, f"127.0.0.1:{operator.port}"), FAST)


@contextlib.asynccontextmanager
async def running_agent(operator, folder):
    """An agent that has seen its forwarder run, and its stream."""
    agent = agent_for(operator, folder)
    async with running(agent):
        await until(lambda: agent.local.running)
        session = await operator.next_session()
        yield agent, session


def states(message):
    return {state.name: state.generation for state in message.listeners}


async def until_ack(session, condition):
    while not condition(ack := await session.next("ack")):
        pass
    return ack


async def test_a_delta_runs_when_it_is_acknowledged(tmp_path, operator):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            session.send(1, upserts=[listener("web", "1" * 16), listener("dns", "2" * 16, port=53)])
            ack = await until_ack(session, lambda ack: ack.sequence == 1)
            assert ack.base_generation == BASE_GENERATION
            assert states(ack) == {"web": "1" * 16, "dns": "2" * 16}
            session.send(2, removals=["dns"])
            assert states(await until_ack(session, lambda ack: ack.sequence == 2)) == {}
            assert set((await agent.forwarder.read_status()).listeners) == {"web"}


async def test_a_refused_listener_keeps_what_ran_and_says_why(tmp_path, operator):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            bad = listener("web", "2" * 16, vip="10.77.0.101")
            session.send(2, upserts=[bad, listener("dns", "3" * 16, port=53)])
            ack = await until_ack(session, lambda ack: ack.sequence == 2)
            assert states(ack) == {"web": "1" * 16, "dns": "3" * 16}
            errors = {state.name: state.error for state in ack.listeners}
            assert errors["dns"] == ""
            assert "listeners/web.json" in errors["web"]
            assert "vip: " in errors["web"]
            session.send(3, upserts=[listener("web", "4" * 16)])
            ack = await until_ack(session, lambda ack: ack.sequence == 3)
            assert {state.error for state in ack.listeners} == {""}


@pytest.fixture
def read_only_config(tmp_path):
    """The configuration directory on a file system of its own, and a way to remount that."""
    path = tmp_path / "config"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "skylane-test", path], check=True)
    try:
        write_base(path)
        yield lambda mode: subprocess.run(["mount", "-o", f"remount,{mode}", path], check=True)
    finally:
        subprocess.run(["umount", path], check=True)


async def test_what_a_read_only_disk_did_not_take_is_written_when_it_can_be(
    tmp_path, operator, read_only_config, monkeypatch
):
    monkeypatch.setattr(local, "_RETRY_S", 0.05)
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16), listener("dns", "1" * 16, port=53)])
            await until_ack(session, lambda ack: ack.sequence == 1)
            read_only_config("ro")
            session.send(2, upserts=[listener("web", "2" * 16)], removals=["dns"])
            ack = await until_ack(session, lambda ack: ack.sequence == 2)
            assert states(ack) == {"web": "1" * 16, "dns": "1" * 16}
            assert all("Read-only file system" in state.error for state in ack.listeners)
            # What comes later takes the place of what could not be written.
            session.send(3, upserts=[listener("web", "3" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 3)
            read_only_config("rw")
            ack = await until_ack(session, lambda ack: states(ack) == {"web": "3" * 16})
            assert ack.sequence == 0
            assert {state.error for state in ack.listeners} == {""}


async def test_after_a_refusal_the_directory_holds_what_last_worked(tmp_path, operator):
    """A forwarder that starts again begins with it."""
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
            good = (tmp_path / "config/listeners/web.json").read_bytes()
            bad, new = (listener(name, "2" * 16, vip="10.77.0.101") for name in ("web", "dns"))
            session.send(2, upserts=[bad, new])
            await until_ack(session, lambda ack: ack.sequence == 2)
    assert (tmp_path / "config/listeners/web.json").read_bytes() == good
    assert not (tmp_path / "config/listeners/dns.json").exists()


async def test_a_file_that_cannot_be_written_keeps_what_ran_and_says_why(tmp_path, operator):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
            file = tmp_path / "config/listeners/web.json"
            file.unlink()
            file.mkdir()  # stands for any reason that the file system may have
            session.send(2, upserts=[listener("web", "2" * 16), listener("dns", "3" * 16, port=53)])
            ack = await until_ack(session, lambda ack: ack.sequence == 2)
            assert states(ack) == {"web": "1" * 16, "dns": "3" * 16}
            assert "Is a directory" in {state.name: state.error for state in ack.listeners}["web"]
            file.rmdir()
            session.send(3, upserts=[listener("web", "2" * 16)])
            ack = await until_ack(session, lambda ack: ack.sequence == 3)
            assert states(ack)["web"] == "2" * 16
            assert {state.error for state in ack.listeners} == {""}


async def test_a_restarted_forwarder_runs_what_was_there_and_the_operator_is_told(tmp_path, operator):
    async with contextlib.AsyncExitStack() as stack:
        with running_forwarder(tmp_path) as process:
            agent, session = await stack.enter_async_context(running_agent(operator, tmp_path))
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
            process.kill()
            down = await until_ack(session, lambda ack: ack.base_generation == "")
            assert (down.sequence, states(down)) == (0, {"web": ""})
            assert not agent.local.running
        session.send(2, upserts=[listener("dns", "2" * 16, port=53)])
        await until_ack(session, lambda ack: ack.sequence == 2)
        with running_forwarder(tmp_path):
            up = await until_ack(session, lambda ack: ack.base_generation == BASE_GENERATION)
            assert (up.sequence, states(up)) == (0, {"web": "1" * 16, "dns": "2" * 16})
            await stack.aclose()


async def test_a_restarted_agent_says_hello_with_what_runs_and_touches_nothing(tmp_path, operator):
    with running_forwarder(tmp_path) as process:
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
        before = (tmp_path / "config/listeners/web.json").stat()
        async with running_agent(operator, tmp_path) as (_, session):
            hello = await session.next("hello")
        assert hello.base_generation == BASE_GENERATION
        assert states(hello) == {"web": "1" * 16}
        assert {state.error for state in hello.listeners} == {""}
        assert (tmp_path / "config/listeners/web.json").stat() == before
        assert process.poll() is None


async def test_an_operator_that_is_away_disturbs_nothing(tmp_path, operator):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (agent, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
            session.end(grpc.StatusCode.UNAVAILABLE)
            hello = await (await operator.next_session()).next("hello")
            assert states(hello) == {"web": "1" * 16}
            assert agent.local.running


async def test_what_was_written_but_not_loaded_is_loaded_by_the_next_agent(tmp_path, operator):
    with running_forwarder(tmp_path):
        agent = agent_for(operator, tmp_path)
        async with running_agent(operator, tmp_path):
            pass
        (tmp_path / "config/listeners/web.json").write_text(
            '{"version":1,"name":"web","generation":"1111111111111111","vip":"198.51.100.10","port":80,'
            '"protocol":"tcp","backends":[]}'
        )
        async with running(agent):
            hello = await (await operator.next_session()).next("hello")
        assert states(hello) == {"web": "1" * 16}


async def test_a_listener_that_runs_without_a_file_is_asked_for_and_goes_on(tmp_path, operator):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
        (tmp_path / "config/listeners/web.json").unlink()
        async with running_agent(operator, tmp_path) as (_, session):
            hello = await session.next("hello")
            assert states(hello) == {"web": "1" * 16}
            assert "file is gone" in hello.listeners[0].error
            session.send(1, removals=["web"])
            assert states(await until_ack(session, lambda ack: ack.sequence == 1)) == {}


async def test_load_is_reported_again_and_again(tmp_path, operator):
    with running_forwarder(tmp_path):
        async with running_agent(operator, tmp_path) as (_, session):
            session.send(1, upserts=[listener("web", "1" * 16)])
            await until_ack(session, lambda ack: ack.sequence == 1)
            await session.next("load")
            load = await session.next("load")
            assert [each.name for each in load.listeners] == ["web"]
            assert load.drops["no_listener"] == 0
