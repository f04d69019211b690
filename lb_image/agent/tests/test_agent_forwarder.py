"""The client of the control socket: against a socket that misbehaves, then against the real forwarder."""

import asyncio
import contextlib
import json

import pytest
from agent_cases import listener
from agent_forwarder import BASE_GENERATION, running_forwarder, write_base
from agent_operator import until

from skylane_agent.config_dir import ConfigDir
from skylane_agent.config_files import listener_file
from skylane_agent.errors import (
    ForwarderError,
    ForwarderGoneError,
    ForwarderReplyError,
    ForwarderTimeoutError,
)
from skylane_agent.forwarder import LOAD_NAMES_MAX, ForwarderClient


@contextlib.asynccontextmanager
async def socket_that_says(path, reply, requests):
    """Answers every line with `reply`, bytes; None: with nothing, and the connection stays open."""

    async def answer(reader, writer):
        with contextlib.closing(writer):
            while line := await reader.readline():
                requests.append(json.loads(line))
                if reply is not None:
                    writer.write(reply)
                    return

    server = await asyncio.start_unix_server(answer, path)
    try:
        yield
    finally:
        server.close()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (None, ForwarderTimeoutError),
        (b"", ForwarderGoneError),
        (b'{"ok":true,"state":"runn', ForwarderGoneError),
        (b"\n", ForwarderReplyError),
        (b"[]\n", ForwarderReplyError),
        (b"\xff\xfe\n", ForwarderReplyError),
        (b'{"ok":false,"errors":[]}\n', ForwarderReplyError),
        (b'{"ok":true,"state":"dancing"}\n', ForwarderReplyError),
        (b'{"ok":true,"state":"running","listeners":{"web":7}}\n', ForwarderReplyError),
        (b"x" * ((16 << 20) + 65536) + b"\n", ForwarderReplyError),
    ],
)
async def test_a_reply_that_does_not_come_or_makes_no_sense_is_an_error(tmp_path, reply, error):
    async with socket_that_says(tmp_path / "s", reply, []):
        with pytest.raises(error, match=f"^{tmp_path}/s: "):
            await ForwarderClient(
                tmp_path / "s", request_timeout_s=0.2 if reply is None else 10
            ).read_status()


async def test_a_socket_that_is_not_there_is_an_error(tmp_path):
    client = ForwarderClient(tmp_path / "s")
    with pytest.raises(ForwarderGoneError, match="No such file"):
        await client.read_status()
    with pytest.raises(ForwarderGoneError, match="No such file"):
        async with client.watched():
            raise AssertionError("there is nothing to watch")


async def test_many_names_are_loaded_in_portions_that_the_forwarder_takes(tmp_path):
    requests = []
    reply = b'{"base_generation":"b","listeners":{},"errors":[{"file":"f","message":"m"}]}\n'
    names = [f"l{index}" for index in range(LOAD_NAMES_MAX + 1)]
    async with socket_that_says(tmp_path / "s", reply, requests):
        loaded = await ForwarderClient(tmp_path / "s").load(names)
    assert [name for request in requests for name in request["listeners"]] == names
    assert [len(request["listeners"]) for request in requests] == [LOAD_NAMES_MAX, 1]
    assert len(loaded.errors) == 2


@pytest.fixture
def config_dir(tmp_path):
    config_dir = ConfigDir(tmp_path / "config")
    config_dir.prepare()
    return config_dir


async def until_state(client, state):
    async def now():
        try:
            return (await client.read_status()).state == state
        except ForwarderError:
            return False

    async with asyncio.timeout(20):
        while not await now():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_forwarder_waits_for_its_base_and_then_runs_what_is_there(tmp_path, config_dir):
    client = ForwarderClient(tmp_path / "control.sock")
    with running_forwarder(tmp_path):
        await until_state(client, "waiting")
        with pytest.raises(ForwarderReplyError):
            await client.read_stats()
        config_dir.write_listeners([listener_file(listener("web", "1" * 16))])
        write_base(config_dir.path)
        await until_state(client, "running")
        status = await client.read_status()
    assert status.base_generation == BASE_GENERATION
    assert status.listeners == {"web": "1" * 16}
    assert status.version


async def test_only_named_listeners_are_loaded_and_a_bad_one_keeps_what_ran(tmp_path, config_dir):
    write_base(config_dir.path)
    client = ForwarderClient(tmp_path / "control.sock")
    with running_forwarder(tmp_path):
        await until_state(client, "running")
        web, dns = listener_file(listener("web", "1" * 16)), listener_file(listener("dns", "2" * 16, port=53))
        config_dir.write_listeners([web, dns])
        assert (await client.load(["web"])).listeners == {"web": "1" * 16}
        config_dir.write_listeners([web | {"generation": "3" * 16, "vip": "198.51.100.300"}])
        loaded = await client.load(["web", "dns"])
        assert loaded.listeners == {"web": "1" * 16, "dns": "2" * 16}
        assert [(fault.file, fault.field) for fault in loaded.errors] == [("listeners/web.json", "vip")]
        config_dir.remove_listeners(["web"])
        assert (await client.load(["web"])).listeners == {"dns": "2" * 16}


async def test_stats_have_drops_workers_and_the_loaded_listeners(tmp_path, config_dir):
    config_dir.write_listeners([listener_file(listener("web", "1" * 16))])
    write_base(config_dir.path)
    client = ForwarderClient(tmp_path / "control.sock")
    with running_forwarder(tmp_path):
        await until_state(client, "running")
        stats = await client.read_stats()
    assert list(stats.listeners) == ["web"]
    assert stats.listeners["web"].active_flows == 0
    assert stats.drops["no_listener"] == 0
    assert len(stats.workers) == 1
    assert stats.neighbours[0].address == "10.77.0.1"


async def test_the_end_of_the_forwarder_is_noticed_at_once(tmp_path, config_dir):
    write_base(config_dir.path)
    client = ForwarderClient(tmp_path / "control.sock")
    with running_forwarder(tmp_path) as process:
        await until_state(client, "running")
        async with client.watched() as gone:
            assert not gone.done()
            process.kill()
            await until(gone.done)
