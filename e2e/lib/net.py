"""Network namespaces, veth pairs and routes by iproute2."""

from __future__ import annotations

from pathlib import Path

from lib.proc import CommandError, run, succeeds

NAMESPACES = Path("/run/netns")


def inside(namespace: str | None) -> list[str]:
    """The words before a command that make it run in a namespace; None is the caller's own.

    Only the network changes: `ip netns exec` would mount another /sys, without the cgroups.
    """
    return [] if namespace is None else ["nsenter", f"--net={NAMESPACES / namespace}", "--"]


def run_in(namespace: str | None, *command: str | Path, timeout_s: float = 120) -> str:
    """Run a command in a namespace; see ``lib.proc.run``."""
    return run(*inside(namespace), *command, timeout_s=timeout_s)


def ip(namespace: str | None, arguments: str) -> str:
    """`ip ARGUMENTS` in a namespace."""
    return run_in(namespace, "ip", *arguments.split())


def has_namespace(namespace: str) -> bool:
    """Whether the namespace is there: a file that nothing is mounted on is left over from before a reboot."""
    file = NAMESPACES / namespace
    return file.exists() and file.stat().st_dev != NAMESPACES.stat().st_dev


def has_link(namespace: str | None, name: str) -> bool:
    return succeeds(*inside(namespace), "ip", "link", "show", "dev", name)


def add_namespace(namespace: str, *, forwards: bool) -> None:
    """Create a namespace with its loopback up; ``forwards`` makes it a router."""
    if has_namespace(namespace):
        return
    (NAMESPACES / namespace).unlink(missing_ok=True)
    run("ip", "netns", "add", namespace)
    ip(namespace, "link set lo up")
    # Replies may come another way than requests went: that is what a load balancer is for.
    settings = {"ip_forward": int(forwards), "conf/all/rp_filter": 0, "conf/default/rp_filter": 0}
    words = [f"net.ipv4.{name.replace('/', '.')}={value}" for name, value in settings.items()]
    run_in(namespace, "sysctl", "-q", "-w", *words)


def delete_namespace(namespace: str) -> None:
    """Delete a namespace and with it every link inside. Processes in it must have ended."""
    if has_namespace(namespace):
        run("ip", "netns", "delete", namespace)
    (NAMESPACES / namespace).unlink(missing_ok=True)


def add_veth(one: tuple[str | None, str], other: tuple[str | None, str]) -> None:
    """A veth pair between two (namespace, link name) ends, both up, without checksum offload.

    With offload on, packets cross unfinished: ping works and TCP through a packet socket carries nothing.
    """
    if has_link(*one) and has_link(*other):
        return
    (namespace, name), (other_namespace, other_name) = one, other
    peer = f"name {other_name}" + ("" if other_namespace is None else f" netns {other_namespace}")
    ip(namespace, f"link add {name} type veth peer {peer}")
    for end_namespace, end in (one, other):
        run_in(end_namespace, "ethtool", "-K", end, "tx", "off")
        ip(end_namespace, f"link set {end} up")


def add_address(namespace: str | None, link: str, address: str) -> None:
    """Give a link an address with prefix length, once."""
    ip(namespace, f"address replace {address} dev {link}")


def set_route(namespace: str | None, destination: str, gateways: list[str]) -> None:
    """Route ``destination`` by one gateway, or evenly by several; by none: the route goes away."""
    if gateways:
        hops = f"via {gateways[0]}" if len(gateways) == 1 else " ".join(f"nexthop via {g}" for g in gateways)
        ip(namespace, f"route replace {destination} {hops}")
        return
    try:
        ip(namespace, f"route del {destination}")
    except CommandError as error:
        if "No such process" not in str(error):
            raise
