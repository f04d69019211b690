"""Streams of agents that are cut, half-open or slow, and a pod whose disk takes nothing: nobody else notices."""

import subprocess

import pytest
from operator_support import eventually
from replicas_world import Relay
from services_world import POD, SLICES, add_service, served

from skylane_agent import local
from skylane_agent.stream import Timing

pytestmark = pytest.mark.apiserver

OTHER = "edge-skylane-1"
TIMING = Timing(first_delay_s=0.05, longest_delay_s=0.2, keepalive_s=0.5, keepalive_timeout_s=0.5)


@pytest.fixture
async def relay(world):
    async def port():
        return world.operator.term.grpc_port

    async with Relay(port) as relay:
        yield relay


async def serving_two(world, relay):
    """Two pods; the agent of the second one dials through the relay. Gives that."""
    world.add_load_balancer(replicas=2, services=(), pools=[world.add_pool("192.0.2.8/30")])
    add_service(world, "web", "10.244.1.1")
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    world.set_ready(POD)
    await world.until_pod(OTHER)
    world.start_forwarder(OTHER)
    world.agents_dial = f"127.0.0.1:{relay.port}"
    agent = world.start_agent(OTHER, TIMING)
    world.set_ready(OTHER)
    await world.until_service_condition("Programmed", "True")
    return agent


def set_endpoint(world, number):
    address = f"10.244.{number >> 8}.{number & 255}"

    def change(body):
        body["endpoints"] = [{"addresses": [address], "conditions": {"ready": True}}]

    world.change(*SLICES, "web-1", change)
    return address


async def until_served(world, pod, address):
    await eventually(lambda: served(world, pod) == {("192.0.2.8", 80): [address]}, f"{address} in {pod}", 40)


async def test_a_half_open_stream_is_noticed_by_the_agent_and_replaced(world, relay):
    agent = await serving_two(world, relay)
    relay.freeze()
    address = set_endpoint(world, 300)
    await until_served(world, POD, address)
    await until_served(world, OTHER, address)
    assert agent.stream.attempts >= 2
    await world.until_service_condition("Programmed", "True")
    assert world.agent_state(OTHER).connected
    assert world.operator.term.agents.connection_count() == 2


async def test_a_slow_stream_keeps_nobody_waiting_and_gets_what_is_newest(world, relay):
    await serving_two(world, relay)
    relay.pace_s = 0.05
    sent = count_deltas(world, OTHER)
    for number in range(400, 440):
        address = set_endpoint(world, number)
        await until_served(world, POD, address)
    await until_served(world, OTHER, address)
    # A queue of old ones would be 40.
    assert 1 <= sent() < 40
    relay.pace_s = 0.0
    await world.until_service_condition("Programmed", "True")


def count_deltas(world, pod):
    """A way to ask how many Deltas the pod's stream has been sent since."""
    (key,) = [key for key in world.operator.term.agents._pods if key.name == pod]
    session = world.operator.term.agents._pods[key].peer
    before = session._sequence
    return lambda: session._sequence - before


async def test_a_disk_that_takes_nothing_is_told_and_caught_up_with(world, relay, monkeypatch):
    monkeypatch.setattr(local, "_RETRY_S", 0.2)
    folder = world.pod_folder(OTHER) / "config"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "skylane-test", folder)
    try:
        await serving_two(world, relay)
        mount("-o", "remount,ro", folder)
        address = set_endpoint(world, 500)
        await until_served(world, POD, address)
        told = await world.until_service_condition("Programmed", "False", "ForwarderRejected")
        assert OTHER in told["message"]
        assert "Read-only file system" in told["message"]
        assert served(world, OTHER) == {("192.0.2.8", 80): ["10.244.1.1"]}
        mount("-o", "remount,rw", folder)
        await until_served(world, OTHER, address)
        await world.until_service_condition("Programmed", "True", timeout_s=10)
    finally:
        await world.end_pod(OTHER)
        mount(folder, command="umount")


def mount(*arguments, command="mount"):
    subprocess.run([command, *arguments], check=True)
