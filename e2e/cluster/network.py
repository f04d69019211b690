"""The test network: a node, the external network's router, and a client outside the cluster.

    client 192.0.2.10 ── 192.0.2.1 router 172.30.0.1 ── 172.30.0.2 node ── pods 10.244.0.0/24
                                     │ bridge lb0 10.77.0.1/24
                                     └── skylane-ext0..3 ══ skylane-nic0..3 (in the node: the test NICs)

Each is a network namespace. The host reaches the node by a veth pair of its own and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from lib.net import (
    add_address,
    add_namespace,
    add_veth,
    delete_namespace,
    has_link,
    has_namespace,
    ip,
    set_route,
)

NODE, ROUTER, CLIENT = "skylane-node", "skylane-router", "skylane-client"
NODE_ADDRESS = "172.30.0.2"
ROUTER_ADDRESS = "172.30.0.1"
CLIENT_ADDRESS = "192.0.2.10"
POD_SUBNET = "10.244.0.0/24"
EXTERNAL_SUBNET = "10.77.0.0/24"
EXTERNAL_GATEWAY = "10.77.0.1"
NIC_COUNT = 4
HOST_LINK = "skylane-host"


def nic_names() -> list[str]:
    """The test NICs: what the device plugin offers and host-device moves into pods."""
    return [f"skylane-nic{number}" for number in range(NIC_COUNT)]


def up() -> None:
    """Lay the network; what is already there stays."""
    add_namespace(NODE, forwards=True)
    add_namespace(ROUTER, forwards=True)
    add_namespace(CLIENT, forwards=False)
    _connect_host()
    _connect_node()
    _connect_client()
    _connect_external()


def down() -> None:
    """Delete the namespaces, and with them every link, route and iptables rule."""
    for namespace in (CLIENT, NODE, ROUTER):
        delete_namespace(namespace)
    if has_link(None, HOST_LINK):
        ip(None, f"link delete {HOST_LINK}")


def is_up() -> bool:
    return all(has_namespace(namespace) for namespace in (NODE, ROUTER, CLIENT)) and has_link(None, HOST_LINK)


def set_vip_route(vip: str, next_hops: Sequence[str]) -> None:
    """Route a virtual IP to the forwarder pods' addresses, as BGP would; no next hops: withdraw it."""
    set_route(ROUTER, f"{vip}/32", list(next_hops))


def repair_nic(name: str) -> bool:
    """Make a test NIC again that died with its pod's namespace; whether that was needed.

    A veth end does not return from a namespace that is deleted: it and its peer are gone.
    """
    outer = _outer_name(name)
    if has_link(ROUTER, outer):
        return False
    _add_nic(name, outer)
    return True


def _connect_host() -> None:
    """The only thing the host sees: a /30 and one route to the node's address."""
    add_veth((None, HOST_LINK), (NODE, "to-host"))
    add_address(None, HOST_LINK, "172.31.255.1/30")
    add_address(NODE, "to-host", "172.31.255.2/30")
    set_route(None, f"{NODE_ADDRESS}/32", ["172.31.255.2"])


def _connect_node() -> None:
    add_veth((NODE, "node0"), (ROUTER, "to-node"))
    add_address(NODE, "node0", f"{NODE_ADDRESS}/24")
    add_address(ROUTER, "to-node", f"{ROUTER_ADDRESS}/24")
    set_route(NODE, "default", [ROUTER_ADDRESS])
    set_route(ROUTER, POD_SUBNET, [NODE_ADDRESS])


def _connect_client() -> None:
    add_veth((CLIENT, "eth0"), (ROUTER, "to-client"))
    add_address(CLIENT, "eth0", f"{CLIENT_ADDRESS}/24")
    add_address(ROUTER, "to-client", "192.0.2.1/24")
    set_route(CLIENT, "default", ["192.0.2.1"])


def _connect_external() -> None:
    if not has_link(ROUTER, "lb0"):
        ip(ROUTER, "link add lb0 type bridge forward_delay 0")
    ip(ROUTER, "link set lb0 up")
    add_address(ROUTER, "lb0", f"{EXTERNAL_GATEWAY}/24")
    for name in nic_names():
        repair_nic(name)


def _outer_name(nic: str) -> str:
    return nic.replace("nic", "ext")


def _add_nic(name: str, outer: str) -> None:
    add_veth((NODE, name), (ROUTER, outer))
    ip(ROUTER, f"link set {outer} master lb0")
