"""One network and one running forwarder for each test module."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.forwarder import BINARY, Forwarder, base, listener, running_forwarder
from live.network import SERVERS, Network, made_network
from live.network6 import added_ipv6
from live.servers import UDP_PORT, running_servers


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    assert os.geteuid() == 0, "network namespaces need root"
    assert BINARY.exists(), f"{BINARY} is not built"
    with made_network() as network, running_servers(network.servers, SERVERS):
        yield network


@pytest.fixture(scope="module")
def network6(network: Network) -> Iterator[Network]:
    with added_ipv6(network) as network6:
        yield network6


@pytest.fixture
def forwarder(network: Network, tmp_path: Path) -> Iterator[Forwarder]:
    """A forwarder with a TCP listener `web` and a UDP listener `dns`, three backends each."""
    dns = listener("dns", SERVERS, port=53, backend_port=UDP_PORT, protocol="udp")
    with running_forwarder(tmp_path, network.forwarder, base(), listener("web", SERVERS), dns) as forwarder:
        yield forwarder
