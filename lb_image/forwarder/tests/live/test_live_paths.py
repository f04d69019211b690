"""What kernels on both sides expect of a hop between them: path MTU discovery, and resets of dead connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from live.client import greeting, request
from live.forwarder import Forwarder, base, listener, running_forwarder
from live.namespaces import connected
from live.network import LOCAL_ADDRESS, SERVERS, VIP, Network

from lib.net import ip, run_in

NARROW_MTU = 1300


def learned_mtu(namespace: str, destination: str) -> str:
    """What the kernel has learned of the path, as `ip route get` says it."""
    return run_in(namespace, "ip", "route", "get", destination)


def sender_to(narrow_side: str, network: Network) -> tuple[str, str]:
    """Who has to learn, and for which destination."""
    return {"servers": (network.client, VIP), "client": (network.servers, LOCAL_ADDRESS)}[narrow_side]


@pytest.fixture(params=["servers", "client"])
def narrow_side(network: Network, request: pytest.FixtureRequest) -> Iterator[str]:
    """The router's way to one side takes smaller packets than the links, so that only an ICMP error tells of it."""
    side: str = request.param
    subnet = {"servers": "10.244.0.0/24", "client": "203.0.113.0/24"}[side]
    ip(network.router, f"route change {subnet} dev {side} mtu {NARROW_MTU}")
    yield side
    ip(network.router, f"route change {subnet} dev {side}")
    for namespace in (network.client, network.servers):
        ip(namespace, "route flush cache")


def test_path_mtu_is_discovered_through_the_forwarder(
    network: Network, forwarder: Forwarder, narrow_side: str
) -> None:
    assert request(network.client) in SERVERS  # 5,000 bytes there and back, or it times out
    assert f"mtu {NARROW_MTU}" in learned_mtu(*sender_to(narrow_side, network))
    drops = forwarder.query("stats")["drops"]
    assert drops["icmp_other"] == drops["bad_icmp_checksum"] == 0


def test_path_mtu_is_discovered_whichever_worker_gets_the_error(
    network: Network, narrow_side: str, tmp_path: Path
) -> None:
    with running_forwarder(tmp_path, network.forwarder, base(workers=3), listener("web", SERVERS)):
        assert request(network.client) in SERVERS
        assert f"mtu {NARROW_MTU}" in learned_mtu(*sender_to(narrow_side, network))


def test_connection_that_a_restart_lost_is_reset_at_once(network: Network, forwarder: Forwarder) -> None:
    with connected(network.client, (VIP, 80), 5) as connection:
        greeting(connection)
        forwarder.kill()
        forwarder.flow_file.unlink()
        forwarder.start()
        forwarder.wait_for("running")
        forwarder.wait_for_gateway()
        connection.sendall(b"is anybody there?")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert forwarder.query("stats")["answers"]["resets"] > 0
