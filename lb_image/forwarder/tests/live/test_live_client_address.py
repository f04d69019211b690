"""A kernel at both ends, and a listener that tells the client's address: what a module or a program at the backend would read."""

import socket
from pathlib import Path

import pytest
from live.capture import captured, next_segment
from live.client import greeting
from live.forwarder import listener, running_forwarder
from live.namespaces import connected
from live.network import CLIENT_ADDRESS, SERVERS, VIP, Network
from live.network6 import CLIENT6, SERVERS6, VIP6, base_of_both
from live.servers import TCP_PORT

FAMILIES = {
    "ipv4": (socket.AF_INET, VIP, SERVERS, CLIENT_ADDRESS),
    "ipv6": (socket.AF_INET6, VIP6, SERVERS6, CLIENT6),
}
SYN = 2
OPTION = 254  # of the client's address


@pytest.mark.parametrize("family", FAMILIES)
def test_the_segment_that_makes_the_connection_names_the_client(
    network6: Network, tmp_path: Path, family: str
) -> None:
    kind, vip, servers, client = FAMILIES[family]
    web = listener("web", servers, vip=vip, client_address="toa")
    with (
        running_forwarder(tmp_path, network6.forwarder, base_of_both(), web),
        captured(network6.servers, "uplink") as packets,
        connected(network6.client, (vip, 80)) as connection,
    ):
        connection.sendall(b"x" * 5000)
        connection.shutdown(socket.SHUT_WR)
        assert greeting(connection) in servers
        _, port, *_ = connection.getsockname()
        segments = [next_segment(packets, TCP_PORT)]
        while segments[-1][13] & SYN:
            segments.append(next_segment(packets, TCP_PORT))
    *syns, ack = segments
    address = socket.inet_pton(kind, client)
    assert ack[20 : 24 + len(address)] == bytes([OPTION, 4 + len(address)]) + port.to_bytes(2) + address
    assert syns
    assert all(syn[20] != OPTION for syn in syns)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_client_sends_arrives(network6: Network, tmp_path: Path, family: str) -> None:
    _, vip, servers, _ = FAMILIES[family]
    web = listener("web", servers, vip=vip, client_address="toa")
    sent = bytes(range(256)) * 200
    with (
        running_forwarder(tmp_path, network6.forwarder, base_of_both(), web) as forwarder,
        connected(network6.client, (vip, 80)) as connection,
        connection.makefile("rb") as received,
    ):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert received.readline().strip().decode() in servers
        assert received.read() == sent
        assert forwarder.query("stats")["client_address"] == {"omitted": 0}
