"""What a router learns from a pod: agent, forwarder and BIRD are real, and so is the router, whose kernel is looked at."""

import asyncio
import contextlib
import os
import signal
import statistics
import time

import pytest
from agent_bird import NIC_ADDRESS, NIC_IPV6, PASSWORD, network, peer, routing
from agent_cases import listener, settings
from agent_forwarder import children, has_spare, running_forwarder, write_base
from agent_operator import Authority, Operator, running, serving, until, write_credentials

from lib.bird import BARE, PodAndRouter
from lib.net import ip
from skylane_agent.agent import Agent
from skylane_agent.stream import Timing

FAST = Timing(load_every_s=5, first_delay_s=0.02, longest_delay_s=0.1, refused_delay_s=0.1)
VIP, OTHER = "198.51.100.10", "198.51.100.11"


class World:
    """`sequence` counts the Deltas."""

    def __init__(self, net, agent, session, forwarder):
        self.net, self.agent, self.session, self.forwarder = net, agent, session, forwarder
        self.forwarders = contextlib.ExitStack()  # those that a test starts
        self._sequence = 0

    async def send(self, **fields):
        self._sequence += 1
        self.session.send(self._sequence, **fields)
        while (ack := await self.session.next("ack")).sequence != self._sequence:
            pass
        return ack

    async def until_routes(self, *vips):
        wanted = {vip: {NIC_ADDRESS} for vip in vips}
        await until(lambda: self.net.routes() == wanted)

    async def told(self, condition):
        while not condition(said := await self.session.next("advertisement")):
            pass
        return said


@pytest.fixture
async def operator(tmp_path):
    authority = Authority()
    write_credentials(tmp_path, authority)
    write_base(tmp_path / "config", ipv6=True, interface=PodAndRouter.NIC)
    operator = Operator()
    async with serving(operator, authority) as port:
        operator.port = port
        yield operator


@contextlib.asynccontextmanager
async def agent_of(operator, folder, net, forwarder):
    agent = Agent(settings(folder, f"127.0.0.1:{operator.port}"), FAST)
    async with running(agent):
        await until(lambda: agent.local.running)
        yield World(net, agent, await operator.next_session(), forwarder)


@pytest.fixture
async def world(operator, tmp_path):
    """A pod with one VIP and one peer, which has learnt of it."""
    with network(tmp_path) as net, running_forwarder(tmp_path, net.pod.namespace) as forwarder:
        async with agent_of(operator, tmp_path, net, forwarder) as world:
            await world.send(upserts=[listener("web", "1" * 16)], routing=routing(peer()))
            await world.until_routes(VIP)
            with world.forwarders:
                yield world


async def test_nothing_is_announced_before_the_listener_runs(operator, tmp_path):
    with network(tmp_path) as net:
        async with running(Agent(settings(tmp_path, f"127.0.0.1:{operator.port}"), FAST)):
            waiting = World(net, None, await operator.next_session(), None)
            ack = await waiting.send(upserts=[listener("web", "1" * 16)], routing=routing(peer()))
            assert (ack.routing_generation, ack.routing_error) == ("p1", "")
            assert [state.generation for state in ack.listeners] == [""]
            said = await waiting.told(lambda said: said.peers and said.peers[0].established)
            assert (said.announced, [one.vip for one in said.reasons]) == (0, [VIP])
            assert net.routes() == {}
            with running_forwarder(tmp_path, net.pod.namespace):
                await waiting.until_routes(VIP)


async def test_the_router_is_given_the_address_of_the_nic_and_what_the_peer_asks_for(world):
    await world.send(
        routing=routing(
            peer(communities=["64512:100", "64512:1:2"], med=7, as_path_prepend=2), generation="p2"
        )
    )
    await until(lambda: "BGP.med: 7" in world.net.router.says("show route all"))
    route = world.net.router.says("show route all")
    assert f"BGP.next_hop: {NIC_ADDRESS}" in route
    assert "BGP.as_path: 4200000001 4200000001 4200000001" in route
    assert "(64512,100)" in route
    assert "(64512, 1, 2)" in route
    said = await world.told(lambda said: said.routing_generation == "p2" and said.peers[0].prefixes)
    assert (said.peers[0].name, said.peers[0].established, list(said.vips)) == ("rack-1", True, [VIP])


async def test_other_listeners_come_and_go_without_a_bounce_of_the_session(world):
    since = world.net.session()
    await world.send(upserts=[listener("dns", "2" * 16, vip=OTHER)])
    await world.until_routes(VIP, OTHER)
    await world.send(upserts=[listener("web", "3" * 16, backends=2)])
    await world.send(removals=["dns"])
    await world.until_routes(VIP)
    assert "Established" in since
    assert world.net.session() == since


async def test_an_ipv6_vip_goes_over_the_same_session(world):
    since = world.net.session()
    six = listener("six", "6" * 16, vip="2001:db8::10", backends=0)
    del six.allowed_source_ranges[:], six.denied_source_ranges[:]
    six.backends.add(address="2001:db8:244::5", port=8080, weight=1)
    ack = await world.send(upserts=[six])
    assert [(state.generation, state.error) for state in ack.listeners] == [("6" * 16, "")]
    await until(lambda: world.net.routes() == {VIP: {NIC_ADDRESS}, "2001:db8::10": {NIC_IPV6}})
    assert world.net.session() == since


async def test_a_vip_without_backends_is_withdrawn_and_comes_back(world):
    await world.send(upserts=[listener("web", "2" * 16, backends=0)])
    await world.until_routes()
    said = await world.told(lambda said: said.withheld)
    assert "no backend" in said.reasons[0].reason
    await world.send(upserts=[listener("web", "3" * 16)])
    await world.until_routes(VIP)


async def test_one_of_two_listeners_with_backends_is_enough(world):
    await world.send(upserts=[listener("dns", "2" * 16, port=53, backends=0)])
    assert world.net.routes() == {VIP: {NIC_ADDRESS}}
    assert world.agent.announcer.vips.withheld == {}


async def test_what_the_forwarder_refuses_takes_nothing_away(world):
    bad = listener("web", "2" * 16)
    bad.backends[0].address = "10.244.0.300"
    ack = await world.send(upserts=[bad])
    assert ack.listeners[0].error
    assert world.agent.announcer.vips.announced == {VIP}
    assert world.net.routes() == {VIP: {NIC_ADDRESS}}


async def ms_until_routes(world, routes):
    """From now until the router's kernel forwards so."""
    started = time.perf_counter()
    async with asyncio.timeout(5):
        while await asyncio.to_thread(world.net.routes) != routes:
            pass
    return (time.perf_counter() - started) * 1000


async def test_everything_is_withdrawn_when_the_forwarder_dies_and_comes_back_with_it(world, tmp_path):
    world.forwarder.kill()
    await world.until_routes()
    world.forwarder.wait()
    with running_forwarder(tmp_path, world.net.pod.namespace):
        await world.until_routes(VIP)


@pytest.fixture
async def supervised(operator, tmp_path):
    """As `world`, with a forwarder that is started again in place."""
    with (
        network(tmp_path) as net,
        running_forwarder(tmp_path, net.pod.namespace, supervised=True) as forwarder,
    ):
        async with agent_of(operator, tmp_path, net, forwarder) as world:
            await world.send(upserts=[listener("web", "1" * 16)], routing=routing(peer()))
            await world.until_routes(VIP)
            await until(lambda: has_spare(forwarder))
            yield world


async def test_a_restart_in_place_is_not_told_to_the_router(supervised):
    """Its flows would go to pods that do not know them."""
    os.kill(children(supervised.forwarder)[0], signal.SIGKILL)
    seen, ended_s = [], time.monotonic() + 1.5
    while time.monotonic() < ended_s:
        seen.append(await asyncio.to_thread(supervised.net.routes))
    stats = await supervised.agent.forwarder.read_stats()
    assert (stats.restarts, stats.adoption.verdict) == (1, "adopted")
    assert all(routes == {VIP: {NIC_ADDRESS}} for routes in seen)


async def test_a_listener_that_is_removed_during_a_restart_in_place_is_withdrawn(supervised):
    await supervised.send(upserts=[listener("dns", "2" * 16, vip=OTHER)])
    await supervised.until_routes(VIP, OTHER)
    os.kill(children(supervised.forwarder)[0], signal.SIGKILL)
    await until(lambda: not supervised.agent.local.running)
    assert supervised.agent.local.forwarding
    await supervised.send(removals=["dns"])
    await supervised.until_routes(VIP)


async def test_the_death_of_the_supervisor_withdraws(supervised):
    supervised.forwarder.kill()
    assert await ms_until_routes(supervised, {}) < 1000  # it does not wait for what will not come


def set_link(world, state):
    """The router's end of the NIC's link."""
    ip(world.net.router.namespace, f"link set nics {state}")


async def test_a_dead_link_withdraws_although_the_session_goes_over_another_network(world):
    set_link(world, "down")
    said = await world.told(lambda said: said.withheld)
    assert (said.peers[0].established, said.announced) == (True, 0)
    assert said.reasons[0].reason == "no answer from gateway 10.77.0.1 of network external"
    await world.until_routes()
    set_link(world, "up")
    await world.until_routes(VIP)


async def test_the_gateway_of_one_ip_version_withholds_the_vips_of_that_version(world):
    six = listener("six", "6" * 16, vip="2001:db8::10", backends=0)
    del six.allowed_source_ranges[:], six.denied_source_ranges[:]
    six.backends.add(address="2001:db8:244::5", port=8080, weight=1)
    await world.send(upserts=[six])
    await until(lambda: "2001:db8::10" in world.net.routes())
    ip(world.net.router.namespace, "address del 10.77.0.1/24 dev nics")
    await until(lambda: VIP in world.agent.announcer.vips.withheld)
    assert world.agent.announcer.vips.announced == {"2001:db8::10"}


async def test_a_daemon_that_starts_again_is_told_everything(world):
    world.net.pod.kill()
    said = await world.told(lambda said: said.peers and "routing daemon" in said.peers[0].error)
    assert (said.announced, said.peers[0].established) == (0, False)
    world.net.pod.start(*BARE)
    await world.told(lambda said: said.peers and said.peers[0].established)
    await world.until_routes(VIP)


async def test_an_agent_that_stops_withdraws_and_its_successor_needs_no_operator(operator, tmp_path):
    with network(tmp_path) as net, running_forwarder(tmp_path, net.pod.namespace) as forwarder:
        async with agent_of(operator, tmp_path, net, forwarder) as world:
            await world.send(upserts=[listener("web", "1" * 16)], routing=routing(peer()))
            await world.until_routes(VIP)
        await until(lambda: net.routes() == {})
        nobody = settings(tmp_path, "127.0.0.1:9")
        async with running(Agent(nobody, FAST)):
            await until(lambda: net.routes() == {VIP: {NIC_ADDRESS}})


async def test_without_peers_the_session_ends(world):
    await world.send(routing=routing(generation=""))
    await world.until_routes()
    await until(lambda: "Established" not in world.net.session())


async def test_peers_that_cannot_be_used_leave_those_of_before(world, caplog):
    quoted = 'quote "'
    for bad in (peer(password=quoted), peer(communities=["64512:70000"]), peer(hold_time_s=1)):
        ack = await world.send(routing=routing(bad, generation="bad"))
        assert ack.routing_generation == "p1"
        assert ack.routing_error
    assert world.net.routes() == {VIP: {NIC_ADDRESS}}
    assert quoted not in caplog.text


async def test_the_password_is_in_files_for_the_daemon_alone(world, tmp_path, caplog):
    holding = [file for file in (tmp_path / "bird").rglob("*") if file.is_file()]
    holding = [file for file in holding if PASSWORD.encode() in file.read_bytes()]
    assert {file.stat().st_mode & 0o777 for file in holding} == {0o600}
    assert PASSWORD not in caplog.text
    assert PASSWORD not in world.net.pod.log.read_text()
    assert PASSWORD not in str(world.agent.announcer.report)


async def test_changes_reach_the_router_within_200_ms(world, tmp_path):
    learnt, times = {VIP: {NIC_ADDRESS}}, {"withdraw": [], "announce": [], "forwarder killed": []}
    for number in range(5):
        for what, backends, routes in (("withdraw", 0, {}), ("announce", 1, learnt)):
            change = listener("web", f"{backends}{number}" * 8, backends=backends)
            started = time.perf_counter()
            await world.send(upserts=[change])
            acked_ms = (time.perf_counter() - started) * 1000
            times[what].append(acked_ms + await ms_until_routes(world, routes))
    for _ in range(3):
        world.forwarder.kill()
        times["forwarder killed"].append(await ms_until_routes(world, {}))
        world.forwarder.wait()  # its socket is its own until then
        world.forwarder.wait()  # its socket is not free before
        world.forwarder = world.forwarders.enter_context(running_forwarder(tmp_path, world.net.pod.namespace))
        await world.until_routes(VIP)
    medians = {what: statistics.median(values) for what, values in times.items()}
    print({what: f"{value:.0f} ms" for what, value in medians.items()})  # noqa: T201 - shown by pytest -s
    # The best of several: what else the machine does is not ours.
    assert max(map(min, times.values())) < 200
