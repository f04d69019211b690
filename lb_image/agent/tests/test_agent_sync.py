"""What a forwarder that does not know others' flows yet withholds; its replies are given, but for the last test."""

import asyncio
import contextlib
import json

import pytest
from agent_cases import listener, settings
from agent_forwarder import BASE_GENERATION, running_forwarder, write_base
from agent_operator import running, until

from skylane_agent import messages
from skylane_agent.agent import Agent
from skylane_agent.config_dir import ConfigDir
from skylane_agent.config_files import listener_file
from skylane_agent.errors import ForwarderGoneError, ForwarderTimeoutError
from skylane_agent.forwarder import Stats
from skylane_agent.routes.vips import Serving, Vips
from skylane_agent.sync_watch import JOINING, SILENT_MS, SyncReport, SyncWatch

VIP = "198.51.100.10"


def stats(state="joining", *heard_ms, verdict="none", local_addresses="owner"):
    peers = [
        {"ordinal": 1 + index, "state": "silent" if ms is None else "alive", "heard_ms": ms}
        for index, ms in enumerate(heard_ms)
    ]
    sync = {"state": state, "peers": peers, "local_addresses": local_addresses} if state else None
    return Stats(workers=[], drops={}, listeners={}, adoption={"verdict": verdict}, sync=sync)


class World:
    """`reply` to the next look: stats, or an error."""

    def __init__(self):
        self.reply, self.syncs, self.forwarding = None, True, True
        self.vips = Vips(lambda: None)
        self.vips.update({"web": Serving(VIP, runs=True, usable=True)})
        self.watch = SyncWatch(self, self.vips, lambda: self.syncs, lambda: self.forwarding)

    async def read_stats(self):
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def look(self, reply):
        """Whether the VIP is announced then."""
        self.reply = reply
        await self.watch.look()
        assert self.watch.joined == bool(self.vips.announced)
        return self.watch.joined


@pytest.fixture
def world():
    return World()


async def test_vips_are_withheld_until_the_flows_of_others_are_known(world):
    assert world.vips.withheld == {VIP: JOINING}
    assert not await world.look(stats("joining"))
    assert world.watch.known.is_set()
    assert world.watch.report == SyncReport("joining")
    assert await world.look(stats("complete", 20))
    assert world.watch.report == SyncReport("complete")


async def test_nothing_is_withheld_where_nobody_syncs_and_all_before_that_is_known(world):
    world.syncs = None
    assert not await world.look(stats(None))
    world.syncs = False
    assert await world.look(stats(None))
    assert world.watch.report is None


async def test_one_that_found_the_flows_of_the_process_before_serves_at_once(world):
    assert await world.look(stats("joining", verdict="adopted"))
    assert world.watch.report == SyncReport("joining")


async def test_it_joins_once_its_local_addresses_are_its_own(world):
    assert not await world.look(stats("complete", 20, local_addresses="probing"))
    assert world.watch.report == SyncReport("joining")
    assert await world.look(stats("complete", 20))
    # What is probed for again after a standstill is not given up.
    assert await world.look(stats("complete", 20, local_addresses="probing"))


async def test_local_addresses_that_somebody_else_keeps_withhold_and_are_told(world):
    assert await world.look(stats("complete", 20))
    assert await world.look(stats("complete", 20, local_addresses="conflict"))
    assert not await world.look(stats("complete", 20, local_addresses="conflict"))
    assert world.watch.report == SyncReport("conflict")
    assert not await world.look(stats("complete", 20, local_addresses="probing"))
    assert await world.look(stats("complete", 20))


async def test_no_news_change_nothing(world):
    await world.look(stats("complete", 20))
    assert await world.look(ForwarderTimeoutError("busy"))
    assert await world.look(ForwarderGoneError("starts again in place"))
    assert world.watch.report == SyncReport("complete")


async def test_the_next_process_has_everything_to_learn(world):
    assert await world.look(stats("complete"))
    world.forwarding = False
    assert not await world.look(ForwarderGoneError("gone"))
    assert world.watch.report is None
    world.forwarding = True
    assert not await world.look(stats("joining"))


async def test_peers_that_are_not_heard_for_long_are_told_by_their_ordinals(world):
    await world.look(stats("complete", SILENT_MS, SILENT_MS + 1, None))
    assert world.watch.report == SyncReport("complete", (2, 3))
    assert world.watch.changed.is_set()
    world.watch.changed.clear()
    await world.look(stats("complete", 5, SILENT_MS + 900, None))
    assert not world.watch.changed.is_set()
    said = messages.sync(world.watch.report).sync
    assert (said.state, list(said.silent)) == ("complete", [2, 3])


@contextlib.asynccontextmanager
async def forwarder_that_says(path, replies, requests):
    """A control socket that answers by the command; what it was asked, in order, is in `requests`."""

    async def answer(reader, writer):
        with contextlib.closing(writer):
            while line := await reader.readline():
                command = json.loads(line)["command"]
                requests.append(command)
                writer.write(json.dumps(replies[command]).encode() + b"\n")

    server = await asyncio.start_unix_server(answer, path)
    try:
        yield
    finally:
        server.close()


async def test_an_agent_is_ready_once_its_forwarder_has_joined_and_tells_the_others_when_it_ends(tmp_path):
    config = ConfigDir(tmp_path / "config")
    write_base(tmp_path / "config")
    base = json.loads((tmp_path / "config" / "base.json").read_text())
    base["sync"] = {"ordinal": 0, "udp_port": 5407, "key_file": "/nowhere", "peers": []}
    assert config.write_base(base) is None
    config.prepare()
    assert config.write_listeners([listener_file(listener("web", "1" * 16))]) == {}
    counters = {"workers": [], "drops": {}, "listeners": {}}
    replies = {
        "status": {"state": "running", "base_generation": BASE_GENERATION, "listeners": {"web": "1" * 16}},
        "stats": counters | {"sync": {"state": "joining"}},
        "gateways": {"gateways": []},
        "leave": {"ok": True},
    }
    requests = []
    async with forwarder_that_says(tmp_path / "control.sock", replies, requests):
        agent = Agent(settings(tmp_path, "127.0.0.1:9"))
        async with running(agent):
            await until(lambda: agent.local.running and agent.sync.report == SyncReport("joining"))
            assert (await agent._readyz()).body == f"{JOINING}\n"
            assert agent.announcer.vips.withheld == {VIP: JOINING}
            replies["stats"] = counters | {"sync": {"state": "complete"}}
            await until(lambda: agent.sync.joined)
            assert (await agent._readyz()).body == "ok\n"
            assert agent.announcer.vips.announced == {VIP}
            assert "leave" not in requests
    assert requests[-1] == "leave"
    assert requests.count("leave") == 1


async def test_an_agent_without_session_sync_tells_nobody_that_it_ends(tmp_path):
    write_base(tmp_path / "config")
    replies = {
        "status": {"state": "running", "base_generation": BASE_GENERATION},
        "stats": {"workers": [], "drops": {}, "listeners": {}},
        "gateways": {"gateways": []},
    }
    requests = []
    async with forwarder_that_says(tmp_path / "control.sock", replies, requests):
        agent = Agent(settings(tmp_path, "127.0.0.1:9"))
        async with running(agent):
            await until(lambda: agent.local.running and agent.sync.joined)
    assert "leave" not in requests


async def test_an_agent_whose_forwarder_is_gone_ends_all_the_same(tmp_path, caplog):
    write_base(tmp_path / "config")
    base = json.loads((tmp_path / "config" / "base.json").read_text()) | {"sync": {}}
    assert ConfigDir(tmp_path / "config").write_base(base) is None
    agent = Agent(settings(tmp_path, "127.0.0.1:9"))
    async with running(agent):
        await agent.http.listening.wait()
    assert "the other pods are not told" in caplog.text


async def test_a_real_forwarder_joins_serves_and_leaves(tmp_path, caplog):
    """It hears nobody, and is complete once it has listened for long enough."""
    config = ConfigDir(tmp_path / "config")
    write_base(tmp_path / "config")
    (tmp_path / "key").write_text("000102030405060708090a0b0c0d0e0f")
    peer = {"ordinal": 1, "address": "10.77.0.12", "local_addresses": ["10.77.0.102"]}
    sync = {"ordinal": 0, "udp_port": 5407, "key_file": str(tmp_path / "key"), "peers": [peer]}
    base = json.loads((tmp_path / "config" / "base.json").read_text()) | {"sync": sync}
    assert config.write_base(base) is None
    config.prepare()
    assert config.write_listeners([listener_file(listener("web", "1" * 16))]) == {}
    agent = Agent(settings(tmp_path, "127.0.0.1:9"))
    with running_forwarder(tmp_path):
        async with running(agent):
            await until(lambda: agent.announcer.vips.withheld == {VIP: JOINING})
            assert agent.sync.report in (None, SyncReport("joining", (1,)))
            await until(lambda: agent.announcer.vips.announced == {VIP})
            assert agent.sync.report == SyncReport("complete", (1,))
            text = (await agent._metrics()).body
        assert "skylane_forwarder_sync_complete 1\n" in text
        assert 'skylane_forwarder_sync_local_addresses{peer="self",state="owner"} 1\n' in text
        assert 'skylane_forwarder_sync_peer_up{peer="1"} 0\n' in text
        # It was told to leave, and understood.
        assert "the other pods are not told" not in caplog.text
