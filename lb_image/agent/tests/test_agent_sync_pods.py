"""Two pods on one segment, agents and forwarders real: they join, and one that ends gives its local addresses to the other."""

import asyncio
import contextlib
import json
import uuid

import pytest
from agent_cases import settings
from agent_forwarder import running_forwarder, write_base
from agent_operator import DEADLINE_S, running, until

from lib.net import add_namespace, add_veth, delete_namespace
from skylane_agent.agent import Agent
from skylane_agent.config_dir import ConfigDir
from skylane_agent.forwarder import ForwarderClient
from skylane_agent.sync_watch import SyncReport

NIC = "net1"


def address(ordinal):
    return f"10.77.0.{11 + ordinal}"


def local_address(ordinal):
    return f"10.77.0.{101 + ordinal}"


class Pod:
    def __init__(self, folder, ordinal):
        self.folder, self.namespace = folder / str(ordinal), f"sky-sync-{ordinal}-{uuid.uuid4().hex[:6]}"
        self.folder.mkdir()
        config = self.folder / "config"
        write_base(config, interface=NIC)
        base = json.loads((config / "base.json").read_text())
        base["ports"][0]["address"] = f"{address(ordinal)}/24"
        key_file = folder / "key"
        key_file.write_text("000102030405060708090a0b0c0d0e0f")
        other = 1 - ordinal
        peer = {
            "ordinal": other,
            "address": address(other),
            "local_addresses": [local_address(other)],
        }
        sync = {"ordinal": ordinal, "udp_port": 5407, "key_file": str(key_file), "peers": [peer]}
        base |= {"local_addresses": [local_address(ordinal)], "sync": sync}
        assert ConfigDir(config).write_base(base) is None
        self.agent = Agent(settings(self.folder, "127.0.0.1:9"))
        self.forwarder = ForwarderClient(self.folder / "control.sock")

    async def local_addresses(self):
        """What it is to its own ones, and to those of its peer."""
        sync = (await self.forwarder.read_stats()).sync
        return sync.local_addresses, sync.peers[0].local_addresses


@pytest.fixture
def pods(tmp_path):
    pods = [Pod(tmp_path, ordinal) for ordinal in range(2)]
    with contextlib.ExitStack() as stack:
        for pod in pods:
            add_namespace(pod.namespace, forwards=False)
            stack.callback(delete_namespace, pod.namespace)
        add_veth((pods[0].namespace, NIC), (pods[1].namespace, NIC))
        for pod in pods:
            stack.enter_context(running_forwarder(pod.folder, pod.namespace))
        yield pods


async def test_two_pods_join_and_one_that_ends_hands_over(pods):
    first, second = pods
    async with running(second.agent):
        async with running(first.agent):
            for pod in pods:
                await until(lambda agent=pod.agent: agent.sync.report == SyncReport("complete"))
                assert pod.agent.sync.joined
                assert await pod.local_addresses() == ("owner", "standby")
        # The agent of the first has ended; its forwarder goes on.
        async with asyncio.timeout(DEADLINE_S):
            while await second.local_addresses() != ("owner", "owner"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await first.local_addresses())[0] != "owner"
        assert second.agent.sync.joined
