"""Real TCP and UDP over IPv6 through skylane-fwd: the kernels at both ends do their own neighbour discovery and path MTU."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.client import ask, request, requests
from live.forwarder import Forwarder, listener, running_forwarder
from live.network import SERVERS, Network
from live.network6 import CLIENT6, GATEWAY6, LOCAL6, PORT6, SERVERS6, VIP6, base_of_both
from live.servers import UDP_PORT

from lib.net import ip, run_in
from lib.proc import wait_until

NARROW_MTU = 1300
NEW_MAC = "02:aa:bb:cc:dd:ee"


@pytest.fixture
def forwarder6(network6: Network, tmp_path: Path) -> Iterator[Forwarder]:
    """Listeners of both families on one port."""
    web6 = listener("web6", SERVERS6, vip=VIP6)
    dns6 = listener("dns6", SERVERS6, port=53, backend_port=UDP_PORT, protocol="udp", vip=VIP6)
    listeners = (listener("web", SERVERS), web6, dns6)
    with running_forwarder(tmp_path, network6.forwarder, base_of_both(), *listeners) as forwarder:
        yield forwarder


@pytest.mark.usefixtures("forwarder6")
def test_requests_of_both_families_reach_each_backend(network6: Network) -> None:
    assert requests(network6.client, 30, vip=VIP6) == Counter(dict.fromkeys(SERVERS6, 10))
    assert requests(network6.client, 6) == Counter(dict.fromkeys(SERVERS, 2))


@pytest.mark.usefixtures("forwarder6")
def test_datagrams_reach_each_backend(network6: Network) -> None:
    answers = [ask(network6.client, 53, b"hello", CLIENT6, VIP6).split() for _ in range(6)]
    assert Counter(name.decode() for name, _ in answers) == Counter(dict.fromkeys(SERVERS6, 2))


@pytest.mark.usefixtures("forwarder6")
def test_ping_answers_on_the_vip_and_the_port(network6: Network) -> None:
    for address in (VIP6, PORT6):
        answer = run_in(network6.client, "ping", "-6", "-c", "3", "-i", "0.2", "-W", "2", address)
        assert " 0% packet loss" in answer


def test_kernel_and_forwarder_know_each_other(network6: Network, forwarder6: Forwarder) -> None:
    assert request(network6.client, vip=VIP6) in SERVERS6
    known = {one["address"]: one["state"] for one in forwarder6.query("stats")["neighbours"]}
    assert known[GATEWAY6] == "resolved"
    seen = run_in(network6.router, "ip", "-6", "neighbour", "show", PORT6)
    assert "lladdr" in seen
    assert "FAILED" not in seen
    flows = forwarder6.query("flows", listener="web6")["flows"]
    assert {(flow["vip"], flow["local_address"]) for flow in flows} == {(VIP6, LOCAL6)}


@pytest.mark.parametrize("narrow_side", ["servers", "client"])
def test_path_mtu_is_discovered(network6: Network, forwarder6: Forwarder, narrow_side: str) -> None:
    subnet = {"servers": "fd44::/64", "client": "2001:db8:f::/64"}[narrow_side]
    sender = {"servers": (network6.client, VIP6), "client": (network6.servers, LOCAL6)}[narrow_side]
    narrow = f"{subnet} dev {narrow_side} metric 1"
    ip(network6.router, f"-6 route add {narrow} mtu {NARROW_MTU}")
    try:
        assert request(network6.client, vip=VIP6) in SERVERS6  # 5,000 bytes, or it times out
        assert f"mtu {NARROW_MTU}" in run_in(sender[0], "ip", "-6", "route", "get", sender[1])
    finally:
        ip(network6.router, f"-6 route del {narrow}")
        for namespace in (network6.client, network6.servers):
            ip(namespace, "-6 route flush cache")
    drops = forwarder6.query("stats")["drops"]
    assert drops["bad_icmp_checksum"] == drops["bad_l4_header"] == 0


def test_a_changed_gateway_mac_is_followed(network6: Network, forwarder6: Forwarder) -> None:
    """The router says it by itself, in an unsolicited advertisement; we believe it and ask."""
    assert request(network6.client, vip=VIP6) in SERVERS6
    run_in(network6.router, "sysctl", "-q", "-w", "net.ipv6.conf.forwarder.ndisc_notify=1")
    ip(network6.router, f"link set forwarder address {NEW_MAC}")

    def follows() -> bool:
        known = {one["address"]: one["mac"] for one in forwarder6.query("stats")["neighbours"]}
        return bool(known[GATEWAY6] == NEW_MAC)

    wait_until(follows, "the router's new MAC", timeout_s=10)
    assert request(network6.client, vip=VIP6) in SERVERS6


def test_a_restarted_forwarder_begins_with_another_local_port(
    network6: Network, forwarder6: Forwarder
) -> None:
    """Backends still hold the connections of the one before."""

    def first_local_port() -> int:
        request(network6.client, vip=VIP6)
        (flow,) = forwarder6.query("flows", listener="web6")["flows"]
        return int(flow["local_port"])

    before = first_local_port()
    forwarder6.kill()
    forwarder6.flow_file.unlink()
    forwarder6.start()
    forwarder6.wait_for("running")
    assert first_local_port() != before
