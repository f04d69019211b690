"""A port with a VLAN on the trunk side of an access port that the kernel plays.

The kernel keeps a tag beside the frame as long as it can. af_packet hands both over, and DPDK's driver puts them together; af_xdp sees
the frame alone, so that the sending end must write the tag into it before.
"""

import platform
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live.client import ask, requests
from live.forwarder import base, listener, running_forwarder
from live.namespaces import entered
from live.network import SERVERS, VIP, Network
from live.servers import UDP_PORT

from lib.net import run_in
from lib.proc import run, wait_until

PROGRAM = Path(__file__).with_name("access_port.bpf.c")
VLAN = 100  # of the program
LINK = "forwarder"  # the router's, to us
FULL_SIZE = 1472  # bytes that a ping of 1500 bytes carries
TAG_BESIDE, TAG_INSIDE = "on", "off"  # txvlan of the end that sends to us


@contextmanager
def access_port(network: Network, scratch: Path, sends: str) -> Iterator[None]:
    """The router's link is in VLAN 100; `sends`: where a frame has its tag when it comes to us."""
    program = scratch / "access_port.o"
    includes = f"/usr/include/{platform.machine()}-linux-gnu"
    run("clang", "-O2", "-target", "bpf", f"-I{includes}", "-c", PROGRAM, "-o", program)
    run_in(network.router, "ethtool", "-K", LINK, "txvlan", sends)
    run_in(network.router, "tc", "qdisc", "add", "dev", LINK, "clsact")
    try:
        for hook, section in (("egress", "sent"), ("ingress", "received")):
            what = ("direct-action", "object-file", program, "section", f"classifier/{section}")
            run_in(network.router, "tc", "filter", "add", "dev", LINK, hook, "bpf", *what)
        yield
    finally:
        run_in(network.router, "tc", "qdisc", "del", "dev", LINK, "clsact")
        run_in(network.router, "ethtool", "-K", LINK, "txvlan", TAG_BESIDE)


@pytest.mark.parametrize(
    ("driver", "sends"), [("af_packet", TAG_BESIDE), ("af_packet", TAG_INSIDE), ("af_xdp", TAG_INSIDE)]
)
def test_traffic_of_a_vlan_passes(network: Network, tmp_path: Path, driver: str, sends: str) -> None:
    """TCP, UDP and frames of full size; both ends drop what is not in the VLAN."""
    port = base()["ports"][0] | {"driver": driver, "vlan": VLAN}
    dns = listener("dns", SERVERS, port=53, backend_port=UDP_PORT, protocol="udp")
    listeners = (listener("web", SERVERS), dns)
    run_in(network.router, "ethtool", "-L", LINK, "tx", "1")
    run_in(network.forwarder, "ethtool", "-L", "net1", "rx", "1")
    with (
        access_port(network, tmp_path, sends),
        running_forwarder(tmp_path, network.forwarder, base(ports=[port]), *listeners) as forwarder,
    ):
        assert requests(network.client, 30) == Counter(dict.fromkeys(SERVERS, 10))
        assert {ask(network.client, 53, b"hello").split()[1] for _ in range(3)} == {b"hello"}
        whole = ("-M", "do", "-s", str(FULL_SIZE))
        answers = run_in(network.client, "ping", "-c", "2", "-i", "0.2", "-W", "2", *whole, VIP)
        assert " 0% packet loss" in answers
        drops = forwarder.query("stats")["drops"]
    # What the kernel itself says on the forwarder's link has no tag, and a packet socket sees that too.
    assert (drops["other_vlan"], drops["double_vlan_tag"]) == (0, 0)


def send(network: Network, tags: str) -> None:
    """A frame of ARP that is cut short, with these tags and no other."""
    with entered(network.router), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
        packets.bind((LINK, 0))
        packets.send(bytes.fromhex(f"ffffffffffff02aa00000001{tags}0806") + bytes(46))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ("", "no_vlan_tag"),
        ("8100a000", "no_vlan_tag"),
        ("810000c8", "other_vlan"),
        ("8100006481000064", "double_vlan_tag"),
        ("8100a064", "bad_arp"),
    ],
)
def test_who_is_not_in_the_vlan_is_not_heard(
    network: Network, tmp_path: Path, tags: str, reason: str
) -> None:
    port = base()["ports"][0] | {"vlan": VLAN}
    with (
        access_port(network, tmp_path, TAG_BESIDE),
        running_forwarder(tmp_path, network.forwarder, base(ports=[port])) as forwarder,
    ):
        before = forwarder.query("stats")["drops"][reason]
        send(network, tags)
        wait_until(
            lambda: forwarder.query("stats")["drops"][reason] > before, f"{reason} counted", timeout_s=5
        )


@pytest.mark.parametrize(("tags", "reason"), [("8100a000", "bad_arp"), ("8100a064", "other_vlan")])
def test_a_port_without_a_vlan_hears_its_link(
    network: Network, tmp_path: Path, tags: str, reason: str
) -> None:
    """A tag of a priority only is none, as Linux has it."""
    with running_forwarder(tmp_path, network.forwarder, base()) as forwarder:
        before = forwarder.query("stats")["drops"][reason]
        send(network, tags)
        wait_until(
            lambda: forwarder.query("stats")["drops"][reason] > before, f"{reason} counted", timeout_s=5
        )
