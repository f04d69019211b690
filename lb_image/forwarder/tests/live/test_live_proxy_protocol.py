"""Kernels at both ends of connections that begin with a header of PROXY protocol v2, which neither of them made."""

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live.capture import captured, next_segment
from live.forwarder import Forwarder, listener, running_forwarder
from live.namespaces import connected, entered
from live.network import CLIENT_ADDRESS, SERVERS, VIP, Network
from live.network6 import CLIENT6, SERVERS6, VIP6, base_of_both
from live.servers import PROXY_PORT

from lib.net import run_in
from lib.proc import wait_until

FAMILIES = {"ipv4": (socket.AF_INET, VIP, CLIENT_ADDRESS), "ipv6": (socket.AF_INET6, VIP6, CLIENT6)}
DATA = bytes(range(256)) * 200
# A packet crosses the router twice. So few that no connection waits out its patience, so many that every kind of segment is met.
LOSE = "-p tcp -m statistic --mode random --probability 0.04 -j DROP"
NARROW_MTU = 1300
# net.ipv4.tcp_fastopen: of a client, data in the SYN without a cookie; of a server, the same taken.
FAST_OPEN_CLIENT, FAST_OPEN_SERVER = 0x5, 0x602
FORGED = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\x09" * 12


@pytest.fixture
def proxying(network6: Network, tmp_path: Path) -> Iterator[Forwarder]:
    """Listeners of both families whose backends get a header."""
    settings = {"backend_port": PROXY_PORT, "client_address": "proxy_v2"}
    web, web6 = listener("web", SERVERS, **settings), listener("web6", SERVERS6, vip=VIP6, **settings)
    with running_forwarder(tmp_path, network6.forwarder, base_of_both(), web, web6) as forwarder:
        yield forwarder


def told(connection: socket.socket, vip: str, client: str) -> bool:
    """Whether the backend's greeting names this end of the connection; nothing behind the greeting is read."""
    _, port, *_ = connection.getsockname()
    expected = f"{client} {vip} {port} 80\n".encode()
    received = connection.recv(len(expected), socket.MSG_WAITALL)
    assert received == expected
    return True


def echoed(connection: socket.socket) -> bytes:
    connection.shutdown(socket.SHUT_WR)
    return b"".join(iter(lambda: connection.recv(65536), b""))


def states(network: Network) -> list[str]:
    """Of the connections that the servers have."""
    lines = run_in(network.servers, "ss", "-Htan", "sport", "=", f":{PROXY_PORT}").splitlines()
    return [state for state in (line.split()[0] for line in lines) if state not in ("LISTEN", "TIME-WAIT")]


@pytest.mark.usefixtures("proxying")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_that_speaks_first(network6: Network, family: str) -> None:
    _, vip, client = FAMILIES[family]
    for _ in range(6):
        with connected(network6.client, (vip, 80)) as connection:
            connection.sendall(DATA)
            assert told(connection, vip, client)
            assert echoed(connection) == DATA


@pytest.mark.usefixtures("proxying")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_that_waits_for_the_server(network6: Network, family: str) -> None:
    _, vip, client = FAMILIES[family]
    for _ in range(6):
        with connected(network6.client, (vip, 80)) as connection:
            assert told(connection, vip, client)
            connection.sendall(DATA)
            assert echoed(connection) == DATA


@pytest.mark.usefixtures("proxying")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_that_has_nothing_to_say(network6: Network, family: str) -> None:
    _, vip, client = FAMILIES[family]
    with connected(network6.client, (vip, 80)) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert told(connection, vip, client)
        assert connection.recv(1) == b""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reset_ends_the_connection(network6: Network, proxying: Forwarder, family: str) -> None:
    """At once after the handshake, as checks of ports do, when the backend may not have confirmed the header yet."""
    _, vip, client = FAMILIES[family]
    for _ in range(20):
        with connected(network6.client, (vip, 80)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connected(network6.client, (vip, 80)) as connection:
        assert told(connection, vip, client)
        wait_until(
            lambda: states(network6) == ["ESTAB"], "the backend to have this connection only", timeout_s=5
        )
    assert proxying.query("stats")["client_address"] == {"omitted": 0}


@pytest.mark.usefixtures("proxying")
@pytest.mark.parametrize("family", FAMILIES)
def test_lost_packets_are_repaired_by_the_ends(network6: Network, family: str) -> None:
    _, vip, client = FAMILIES[family]

    def exchange(data: bytes) -> bool:
        with connected(network6.client, (vip, 80), timeout_s=60) as connection:
            if data:
                connection.sendall(data)
            return told(connection, vip, client) and echoed(connection) == data

    tables, lose = {"ipv4": "iptables", "ipv6": "ip6tables"}[family], LOSE.split()
    run_in(network6.router, tables, "--append", "FORWARD", *lose)
    try:
        with ThreadPoolExecutor(20) as clients:
            assert all(clients.map(exchange, [b"", DATA[:600]] * 20))
    finally:
        run_in(network6.router, tables, "--delete", "FORWARD", *lose)


@pytest.mark.usefixtures("proxying")
@pytest.mark.parametrize("family", FAMILIES)
def test_data_in_a_syn_comes_behind_the_header(network6: Network, family: str) -> None:
    """TCP fast open, and what the client sends would be a header itself."""
    kind, vip, client = FAMILIES[family]
    for namespace, value in ((network6.client, FAST_OPEN_CLIENT), (network6.servers, FAST_OPEN_SERVER)):
        run_in(namespace, "sysctl", "-q", "-w", f"net.ipv4.tcp_fastopen={value}")
    with entered(network6.client):
        connection = socket.socket(kind, socket.SOCK_STREAM)
    with (
        connection,
        captured(network6.client, "uplink") as sent,
        captured(network6.servers, "uplink") as received,
    ):
        connection.settimeout(5)
        connection.sendto(FORGED + DATA[:500], socket.MSG_FASTOPEN, (vip, 80))
        assert told(connection, vip, client)
        assert echoed(connection) == FORGED + DATA[:500]
        syn, cut = next_segment(sent, 80), next_segment(received, PROXY_PORT)
    assert FORGED in syn
    assert len(cut) == (cut[12] >> 4) * 4


@pytest.mark.usefixtures("proxying")
def test_a_path_that_takes_no_header_beside_data(network6: Network) -> None:
    """IPv6 asks for 1,280 bytes of every path: on one of little more the header goes alone, the data comes behind it."""
    narrow = f"fd44::/64 dev servers metric 1 mtu {NARROW_MTU}"
    run_in(network6.router, *f"ip -6 route add {narrow}".split())
    try:
        for _ in range(3):
            with connected(network6.client, (VIP6, 80)) as connection:
                connection.sendall(DATA)
                assert told(connection, VIP6, CLIENT6)
                assert echoed(connection) == DATA
    finally:
        run_in(network6.router, *["ip", "-6", "route", "del", "fd44::/64", "dev", "servers", "metric", "1"])
        run_in(network6.client, *["ip", "-6", "route", "flush", "cache"])
