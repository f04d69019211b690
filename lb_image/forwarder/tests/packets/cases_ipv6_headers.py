"""Cases of IPv6 about headers: malformed ones, extension headers, fragments."""

from __future__ import annotations

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.packet import Raw

from packets.build import case
from packets.build6 import (
    ADDRESS6,
    CLIENT6,
    VIP6,
    Script6,
    base6,
    dns6,
    listener6,
    up6,
)
from packets.harness import Case


def ipv6_malformed() -> Case:
    """Truncated frames and lying length fields; other destinations, protocols, MAC addresses and groups."""
    good = bytes(IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=1, dport=53) / Raw(b"abcd"))
    head = bytes.fromhex("020000000001") + b"\2\xaa\0\0\0\1\x86\xdd"
    script = up6().raw(head).raw(head + good[:39]).raw(head + good[:45]).raw(head + b"\x45" + good[1:])
    script.raw(head + good[:40]).raw(head + good.ljust(90, b"\7"))
    for packet in (
        IPv6(src=CLIENT6, dst=VIP6) / UDP(dport=53, len=7), IPv6(src=CLIENT6, dst=VIP6) / UDP(dport=53, len=50),
        IPv6(src=CLIENT6, dst=VIP6, plen=0) / UDP(dport=53), IPv6(src=CLIENT6, dst=VIP6, nh=59),
        IPv6(src=CLIENT6, dst=VIP6, nh=47) / Raw(b"gre"), IPv6(src=CLIENT6, dst=VIP6, nh=6) / Raw(bytes(12) + b"\x40" + bytes(7)),
        IPv6(src=CLIENT6, dst=VIP6, nh=6) / Raw(bytes(12) + b"\xf0" + bytes(9)),
    ):  # fmt: skip
        script.send(packet)
    script.tcp6("S", dst="2001:db8:1::99").tcp6("S", dst=ADDRESS6).tcp6("S", dport=81).udp6(dport=80)
    tcp = IPv6(src=CLIENT6, dst=VIP6) / TCP(dport=80, flags="S")
    script.send(tcp, dst="02:00:00:00:00:77").send(tcp, dst="33:33:00:00:00:01").send(
        tcp, dst="ff:ff:ff:ff:ff:ff"
    )
    script.send(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrHopByHop() / TCP(), dst="33:33:00:00:00:16")
    return case(ipv6_malformed.__doc__, script, listener6(), dns6(), base=base6())


def ipv6_extension_headers() -> Case:
    """Hop-by-hop, destination options and routing headers at their end pass as they are; too many, too long or cut off do not."""
    hop, dest = IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt()
    script = up6().udp6(between=hop).udp6(between=hop / dest).udp_reply6(between=dest).tcp6("S", between=dest)
    script.udp6(between=IPv6ExtHdrRouting(type=4, segleft=0)).udp6(
        between=IPv6ExtHdrRouting(type=0, segleft=0)
    )
    script.udp6(between=IPv6ExtHdrRouting(type=4, segleft=1)).udp6(
        between=IPv6ExtHdrRouting(type=0, segleft=1)
    )
    many = [dest] * 9
    for count in (8, 9):
        chain = many[0].copy()
        for one in many[1:count]:
            chain /= one.copy()
        script.udp6(between=chain)
    udp = bytes(UDP(sport=5000, dport=53, chksum=0x1111) / Raw(b"query"))
    for size in (0, 31, 32):
        body = bytes([17, size, 1, 4, 0, 0, 0, 0]) + bytes(size * 8)
        script.send(IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(body + udp))
    script.send(IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(bytes([17, 9, 1, 4, 0, 0, 0, 0]) + udp))
    script.send(IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(bytes(7)))
    script.udp6(between=IPv6ExtHdrFragment(id=1) / IPv6ExtHdrFragment(id=2))
    return case(ipv6_extension_headers.__doc__, script, listener6(), dns6(), base=base6())


def ipv6_fragments() -> Case:
    """All fragments of a packet follow the first, both ways, under one number of ours; in one piece it is whole (RFC 6946)."""
    script = up6().pieces6(Script6().udp6(data=b"q" * 3000)).pieces6(Script6().udp_reply6(data=b"a" * 3001))
    script.pieces6(Script6().tcp6("S", data=b"x" * 1000), 8)
    script.pieces6(Script6().tcp_reply6("SA", 1025, data=b"y" * 999), 9)
    script.udp6(between=IPv6ExtHdrFragment(id=5)).udp_reply6(between=IPv6ExtHdrFragment(id=6))
    # Two clients that chose the same number, at the same time, and one packet in the wrong order.
    one, two = (Script6().udp6(src=f"2001:db8:c::{n}", data=b"z" * 1100).pieces6_of(77) for n in (1, 2))
    for piece in (one[0], two[0], two[1], one[1], two[2], one[2]):
        script.raw(piece)
    late = Script6().udp6(sport=5009, data=b"w" * 1100).pieces6_of(78)
    return case(
        ipv6_fragments.__doc__,
        script.raw(late[1]).raw(late[0]).raw(late[2]),
        listener6(),
        dns6(),
        base=base6(),
    )


def ipv6_fragments_that_end() -> Case:
    """Fragments that are no first ones, too short, of ICMPv6 or another protocol, too late, or of a flow that has ended."""
    first, later, last, *_ = Script6().udp6(data=b"q" * 1100).pieces6_of()
    more = IPv6ExtHdrFragment(id=9, m=1)
    script = (
        up6().raw(later).udp6(between=more, data=b"").send(IPv6(src=CLIENT6, dst=VIP6) / more / Raw(b"short"))
    )
    script.send(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(id=9, m=1, nh=47) / Raw(b"x" * 16))
    script.send(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(id=10, offset=2, nh=58) / Raw(b"x" * 16))
    script.udp6(between=more, chksum=0).raw(first).raw(later).at(29).neighbour().raw(later).at(
        31
    ).neighbour().raw(last)
    script.raw(first).udp6(between=more, hlim=1).send(
        IPv6(src=CLIENT6, dst=VIP6, hlim=1) / IPv6ExtHdrFragment(id=7, offset=9, nh=17) / Raw(b"x" * 8)
    )
    ends = dns6(timeouts={"established_s": 900, "syn_s": 60, "fin_s": 60, "udp_s": 40})
    return case(ipv6_fragments_that_end.__doc__, script.at(75).neighbour().raw(last), ends, base=base6())
