"""IPv6 beside IPv4 in the same namespaces."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from live.forwarder import base
from live.network import LOCAL_ADDRESS, Network
from live.servers import running_servers

from lib.net import ip, run_in

CLIENT6, VIP6, PORT6, LOCAL6 = "2001:db8:f::2", "2001:db8:1::10", "2001:db8:77::b", "2001:db8:77::65"
GATEWAY6 = "2001:db8:77::1"
SERVERS6 = ("fd44::5", "fd44::6", "fd44::7")


def base_of_both() -> dict[str, Any]:
    """base.json with a port and local addresses of both families."""
    (port,) = base()["ports"]
    both = {**port, "address6": f"{PORT6}/64", "gateway6": GATEWAY6}
    return base(ports=[both], local_addresses=[LOCAL_ADDRESS, LOCAL6])


@contextmanager
def added_ipv6(network: Network) -> Iterator[Network]:
    """The network with IPv6. Addresses are taken at once, without duplicate address detection."""
    run_in(network.router, "sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")
    for namespace, link, address in (
        (network.client, "uplink", f"{CLIENT6}/64"),
        (network.router, "client", "2001:db8:f::1/64"),
        (network.router, "servers", "fd44::1/64"),
        (network.router, "forwarder", f"{GATEWAY6}/64"),
        *((network.servers, "uplink", f"{server}/64") for server in SERVERS6),
    ):
        ip(namespace, f"address add {address} dev {link} nodad")
    ip(network.client, "-6 route add default via 2001:db8:f::1")
    ip(network.servers, "-6 route add default via fd44::1")
    ip(network.router, f"-6 route add {VIP6}/128 via {PORT6}")
    with running_servers(network.servers, SERVERS6):
        yield network
