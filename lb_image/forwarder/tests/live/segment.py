"""One segment in network namespaces: a switch, a client that is the backend too, and two pods.

client 10.77.0.50, server 10.77.0.60 -- switch -- net1 of pod 0, net1 of pod 1
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from live.forwarder import BINARY
from live.servers import running_servers

from lib.net import add_address, add_namespace, add_veth, delete_namespace, ip

CLIENT, SERVER, VIP = "10.77.0.50", "10.77.0.60", "10.77.0.200"


@dataclass
class Segment:
    """Names of the namespaces: a switch, a client and two pods."""

    switch: str
    client: str
    pods: tuple[str, str]


@contextmanager
def made_segment() -> Iterator[Segment]:
    """The namespaces, taken away at the end; processes in them must have ended."""
    assert os.geteuid() == 0, "network namespaces need root"
    assert BINARY.exists(), f"{BINARY} is not built"
    prefix = f"sky-seg-{os.getpid()}"
    segment = Segment(f"{prefix}-switch", f"{prefix}-client", (f"{prefix}-pod0", f"{prefix}-pod1"))
    with ExitStack() as stack:
        for name in (segment.switch, segment.client, *segment.pods):
            stack.callback(delete_namespace, name)
            add_namespace(name, forwards=False)
        ip(segment.switch, "link add bridge type bridge mcast_snooping 0")
        ip(segment.switch, "link set bridge up")
        for number, name in enumerate((segment.client, *segment.pods)):
            add_veth((name, "net1"), (segment.switch, f"port{number}"))
            ip(segment.switch, f"link set port{number} master bridge")
            ip(name, "link set net1 addrgenmode none")
        for address in (f"{CLIENT}/24", f"{SERVER}/24"):
            add_address(segment.client, "net1", address)
        stack.enter_context(running_servers(segment.client, (SERVER,)))
        yield segment


def mac_of(namespace: str) -> str:
    return ip(namespace, "-o link show net1").partition("link/ether ")[2].split()[0]
