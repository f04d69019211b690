"""client - router - servers in network namespaces, with the forwarder beside the router.

    client 203.0.113.2 -- router -- servers 10.244.0.{5,6,7}
                            |
                          net1 of the forwarder, 10.77.0.0/24

All of it goes through the kernel's own TCP; only net1 is the forwarder's, by a packet socket.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lib.net import add_address, add_namespace, add_veth, delete_namespace, ip, set_route

CLIENT_ADDRESS = "203.0.113.2"
PORT_ADDRESS = "10.77.0.11"
GATEWAY = "10.77.0.1"
LOCAL_ADDRESS = "10.77.0.101"
VIP = "198.51.100.10"
SERVERS = ("10.244.0.5", "10.244.0.6", "10.244.0.7")


@dataclass(frozen=True)
class Network:
    """Names of the namespaces."""

    client: str
    router: str
    servers: str
    forwarder: str


def _names() -> Network:
    prefix = f"sky-live-{os.getpid()}"
    return Network(*(f"{prefix}-{role}" for role in ("client", "router", "servers", "forwarder")))


def _wire(network: Network) -> None:
    add_veth((network.client, "uplink"), (network.router, "client"))
    add_address(network.client, "uplink", f"{CLIENT_ADDRESS}/24")
    add_address(network.router, "client", "203.0.113.1/24")
    set_route(network.client, "default", ["203.0.113.1"])
    add_veth((network.servers, "uplink"), (network.router, "servers"))
    for server in SERVERS:
        add_address(network.servers, "uplink", f"{server}/24")
    add_address(network.router, "servers", "10.244.0.1/24")
    set_route(network.servers, "default", ["10.244.0.1"])
    add_veth((network.forwarder, "net1"), (network.router, "forwarder"))
    add_address(network.router, "forwarder", f"{GATEWAY}/24")
    set_route(network.router, f"{VIP}/32", [PORT_ADDRESS])
    # The kernel of the forwarder's namespace has no part in this: no IPv6 chatter on net1.
    ip(network.forwarder, "link set net1 addrgenmode none")


@contextmanager
def made_network() -> Iterator[Network]:
    """The namespaces, taken away at the end; processes in them must have ended."""
    network = _names()
    with ExitStack() as stack:
        for name in (network.client, network.router, network.servers, network.forwarder):
            stack.callback(delete_namespace, name)
            add_namespace(name, forwards=name == network.router)
        _wire(network)
        yield network
