"""What silent gateways withhold; the forwarder's replies are given, the clock is the test's."""

import pytest

from skylane_agent.errors import ForwarderGoneError, ForwarderTimeoutError
from skylane_agent.forwarder import Gateway
from skylane_agent.routes.gateways import GatewayWatch
from skylane_agent.routes.vips import Serving, Vips

VIP, VIP6 = "198.51.100.10", "2001:db8::10"


def gateway(silent_ms, address="10.77.0.1", network=0):
    return Gateway(port=f"net{network}", network=network, address=address, silent_ms=silent_ms)


class World:
    """`replies` to the next look: gateways, or an error."""

    def __init__(self):
        self.now_s, self.replies, self.wanted, self.forwarding = 100.0, [], True, True
        self.changes = 0
        self.vips = Vips(self.count)
        self.vips.update(
            {"web": Serving(VIP, runs=True, usable=True), "six": Serving(VIP6, runs=True, usable=True)}
        )
        self.watch = GatewayWatch(
            self, self.vips, lambda: self.wanted, lambda: self.forwarding, lambda: self.now_s
        )

    def count(self):
        self.changes += 1

    async def read_gateways(self):
        if isinstance(self.replies, Exception):
            raise self.replies
        return self.replies

    async def look(self, replies, after_s=0.1):
        self.now_s += after_s
        self.replies = replies
        await self.watch.look()
        return self.vips.announced

    async def look_for(self, seconds, replies):
        for _ in range(round(seconds * 10)):
            await self.look(replies)
        return self.vips.announced


@pytest.fixture
def world():
    return World()


async def test_an_agent_that_starts_leaves_all_as_it_is_until_gateways_had_the_time_to_answer(world):
    assert await world.look_for(0.5, [gateway(5000)]) == {VIP, VIP6}
    assert not world.watch.known.is_set()
    await world.look([gateway(20)])
    assert world.watch.known.is_set()


async def test_a_gateway_that_never_answers_withholds_its_ip_version(world):
    assert await world.look_for(1.5, [gateway(None), gateway(20, "2001:db8:77::1")]) == {VIP6}
    assert world.watch.known.is_set()
    assert world.vips.obstacles == ("no answer from gateway 10.77.0.1 of network net0",)
    assert await world.look([gateway(20), gateway(20, "2001:db8:77::1")]) == {VIP, VIP6}


async def test_silence_withholds_and_the_first_answer_gives_back(world):
    await world.look_for(1.5, [gateway(20)])
    assert await world.look([gateway(900)]) == {VIP, VIP6}
    assert await world.look([gateway(1001)]) == {VIP6}
    assert await world.look([gateway(3)]) == {VIP, VIP6}


async def test_of_other_networks_only_a_gateway_that_has_answered_counts(world):
    nobodys = gateway(None, "10.78.0.1", network=1)
    assert await world.look_for(1.5, [gateway(20), nobodys]) == {VIP, VIP6}
    assert await world.look([gateway(20), gateway(1001, "10.78.0.1", network=1)]) == {VIP6}


async def test_networks_without_a_gateway_are_not_judged(world):
    assert await world.look_for(1.5, []) == {VIP, VIP6}
    assert world.watch.known.is_set()


async def test_who_could_not_ask_for_a_while_asks_anew(world):
    await world.look_for(1.5, [gateway(20)])
    assert await world.look([gateway(3000)], after_s=3.2) == {VIP, VIP6}
    assert await world.look([gateway(150)]) == {VIP, VIP6}
    assert world.changes == 1  # that of the listeners


async def test_a_forwarder_that_is_busy_says_nothing_of_gateways(world):
    await world.look_for(1.5, [gateway(20)])
    assert await world.look(ForwarderTimeoutError("busy"), after_s=5.0) == {VIP, VIP6}


async def test_a_restart_in_place_gives_gateways_their_time(world):
    await world.look_for(1.5, [gateway(20)])
    assert await world.look_for(0.9, ForwarderGoneError("gone")) == {VIP, VIP6}
    assert await world.look_for(0.8, [gateway(None)]) == {VIP, VIP6}
    assert await world.look_for(0.5, [gateway(None)]) == {VIP6}


async def test_the_forwarder_after_one_that_is_gone_is_probed_before_anything_is_announced(world):
    await world.look_for(1.5, [gateway(20)])
    world.forwarding = False
    assert await world.look(ForwarderGoneError("gone")) == set()
    world.forwarding = True
    assert await world.look([gateway(None)]) == set()
    assert await world.look([gateway(4)]) == {VIP, VIP6}


async def test_without_peers_nothing_is_withheld(world):
    await world.look_for(1.5, [gateway(None)])
    world.wanted = False
    assert await world.look(ForwarderGoneError("is not asked")) == {VIP, VIP6}
