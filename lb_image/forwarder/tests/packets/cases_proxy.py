"""Cases of listeners that tell their backends the client's address by PROXY protocol v2.

A client's SYN has the number 1000, so that its first byte is 1001. Backends see 972 (of IPv6 948), and the header from 973 (949) on.
"""

from __future__ import annotations

from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt
from scapy.packet import Raw

from packets.build import BACKENDS, LOCAL, TIMESTAMPS, Script, case, dns, listener, to_backend, up
from packets.build6 import LOCAL6, Script6, base6, listener6, to_backend6, up6
from packets.harness import Case, Json

MSS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2))]
PROXY, PROXY6 = listener(client_address="proxy_v2"), listener6(client_address="proxy_v2")
FIRST: Json = {"seq": 1001, "ack": 7001}
GREETING = b"GET / HTTP/1.0\r\n\r\n"


def opened(script: Script, sport: int = 4000, local_port: int = 1024, backend: str = BACKENDS[0]) -> Script:
    """SYN and SYN+ACK."""
    return script.tcp("S", sport).tcp_reply("SA", local_port, backend, ack=973)


def opened6() -> Script6:
    return up6().tcp6("S").tcp_reply6("SA", ack=949)


def proxy_v2() -> Case:
    """The header goes before the client's first byte, with the ACK of the handshake and what follows it, until the backend has it."""
    script = up().tcp("S", options=MSS).tcp_reply("SA", options=MSS, ack=973)
    script.tcp("A", **FIRST, options=TIMESTAMPS).tcp("PA", data=GREETING, **FIRST, options=TIMESTAMPS)
    script.tcp("A", seq=1019, ack=7001, data=b"more").tcp_reply("A", ack=1001).tcp(
        "PA", data=GREETING, **FIRST
    )
    script.tcp_reply("A", ack=1019).tcp_reply("PA", data=b"HTTP/1.0 200 OK\r\n", ack=1023).tcp("FA", seq=1023)
    opened(script, 4001, 1025, BACKENDS[1]).tcp("A", 4001, **FIRST)
    script.tcp_reply("PA", 1025, BACKENDS[1], b"220 speaks first", ack=1001).tcp("PA", 4001, b"HELO", **FIRST)
    return case(proxy_v2.__doc__, script.udp(), PROXY, dns())


def proxy_v2_lost_and_late() -> Case:
    """Whatever is lost or comes twice is repaired by the ends: what the backend lacks of the header the client sees as its first byte."""
    script = up().tcp("S").tcp("S").tcp_reply("SA", ack=973).tcp_reply("SA", ack=973)
    # The ACK was lost, and then the first data.
    script.tcp("A", **FIRST).tcp_reply("SA", ack=973).tcp("A", **FIRST).tcp("PA", data=GREETING, **FIRST)
    script.tcp("PA", data=b"second", seq=1019, ack=7001).tcp("A", seq=1025, ack=7001)
    sack = [("NOP", None), ("NOP", None), ("SAck", (1019, 1025))]
    for acknowledged in (973, 980, 1000, 972, 945, 7, 2**31 + 1000, 2**31 + 1002):
        script.tcp_reply("A", ack=acknowledged, options=sack)
    script.tcp_reply("", ack=5000).tcp("FA", data=GREETING, **FIRST).tcp_reply("A", ack=1001)
    script.tcp("PA", data=GREETING, **FIRST)
    # The connection ends at once: FIN, and no data at all.
    opened(script, 4001, 1025, BACKENDS[1]).tcp("FA", 4001, **FIRST).tcp_reply(
        "A", 1025, BACKENDS[1], ack=1002
    )
    # The backend confirms nothing before the handshake is over.
    script.tcp("S", 4002).tcp_reply("A", 1026, ack=2**31).tcp_reply("SA", 1026, ack=973).tcp_reply(
        "A", 1026, ack=3000
    )
    return case(proxy_v2_lost_and_late.__doc__, script.tcp("A", 4002, **FIRST), PROXY)


def proxy_v2_resets() -> Case:
    """A reset fits what the other end expects: of the client where the header begins, of the backend what answers its SYN."""
    script = opened(up()).tcp("R", seq=1001).tcp("S", seq=5000).tcp_reply("SA", 1025, BACKENDS[1], ack=4973)
    script.tcp("A", seq=5001).tcp("RA", seq=5001, ack=7001).tcp("RA", 4000, seq=5009, ack=7001)
    script.tcp("S", 4001).tcp_reply("RA", 1026, ack=973).tcp_reply("R", 1026)
    opened(script, 4002, 1027, BACKENDS[1]).tcp("A", 4002, **FIRST).tcp_reply("A", 1027, BACKENDS[1])
    return case(proxy_v2_resets.__doc__, script.tcp("R", 4002, seq=1001), PROXY)


def proxy_v2_not_forged() -> Case:
    """No client puts bytes where the header is to stand: what is in front of its first byte is cut off, and so is what a SYN brings."""
    forged = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\x01" * 12
    script = up().tcp("S", data=forged, options=[("NOP", None)] * 2).tcp_reply("SA", ack=973)
    for sequence in (972, 973, 999, 1000, 2**31 + 1001, 2**31 + 1002):
        script.tcp("PA", data=forged, seq=sequence).tcp("FA", data=b"odd", seq=sequence)
    script.tcp("P", data=GREETING, seq=1001).tcp("A", seq=1000, ack=7001)
    script.pieces(up().tcp("PA", data=forged * 30, seq=973, id=5))
    script.pieces(up().tcp("PA", 4009, data=b"f" * 900, seq=1001, id=6))
    script.pieces(up().tcp("S", 4009, data=forged * 30, id=7))
    script.tcp("A", **FIRST).tcp_reply("A", ack=1001).pieces(up().tcp("PA", data=b"f" * 900, seq=1001, id=8))
    return case(proxy_v2_not_forged.__doc__, script, PROXY)


def proxy_v2_begins_anew() -> Case:
    """A SYN of another connection goes on as an ACK, which begins none without a header and ends the old one as the SYN would."""
    script = opened(up()).tcp("S", seq=900, data=b"tfo").tcp_reply("A", ack=973).tcp("R", seq=1001)
    script.tcp("S", seq=900).tcp_reply("SA", 1025, BACKENDS[1], ack=873).tcp("A", seq=901)
    script.tcp_reply("A", 1025, BACKENDS[1], ack=901).tcp("S", seq=900).tcp("S", seq=40000, data=b"tfo")
    script.tcp("SEC", seq=40000, options=MSS).tcp("SA", seq=40000).tcp_reply("SA", 1025, BACKENDS[1], ack=901)
    script.pieces(up().tcp("S", data=b"f" * 900, seq=40000, id=5))
    script.tcp_reply("R", 1025, BACKENDS[1]).tcp("S", seq=40000)
    return case(proxy_v2_begins_anew.__doc__, script, PROXY)


def proxy_v2_room() -> Case:
    """The SYN+ACK asks for segments that have room; of a longer one what has none is left to be sent again, and its FIN with it."""
    script = up().tcp("S", options=[("MSS", 1460)])
    for options in (MSS, [("NOP", None), ("MSS", 1380)], [("MSS", 8960)], [("MSS", 28)], [("MSS", 29)], []):
        script.tcp_reply("SA", options=options, ack=973)
    script.pieces(up().tcp_reply("SA", options=MSS, data=b"f" * 900, id=5, ack=973))
    for size in (1432, 1433, 1434, 1460):
        script.tcp("FA", data=bytes(range(256)) * 5 + b"x" * (size - 1280), **FIRST)
    script.tcp("A", data=b"x" * 1420, options=[("NOP", None)] * 40, **FIRST)
    script.tcp("PA", data=b"wrong", chksum=0x1234, **FIRST).tcp(
        "PA", data=b"y" * 1459, chksum=0x1234, **FIRST
    )
    script.tcp("UPA", data=b"urgent", urgptr=3, **FIRST).tcp("UA", data=b"urgent", urgptr=0xFFF0, seq=1000)
    short = up().tcp("A", **FIRST).frames[-1].data
    return case(proxy_v2_room.__doc__, script.raw(short.ljust(60, b"\xee")), PROXY)


def proxy_v2_path_mtu() -> Case:
    """An error quotes the client's own numbers, and of a path less the header; where that is nothing, the header goes alone."""

    def about(sequence: int, flags: str = "PA", size: int = 99) -> bytes:
        tcp = TCP(sport=1024, dport=8080, flags=flags, seq=sequence)
        return bytes(to_backend(tcp / Raw(b"x" * size), flags="DF"))

    at_router: Json = {"src": "10.77.0.1", "dst": LOCAL}
    script = up().tcp("S")
    script.error(about(972, "S", 0), code=1, **at_router).tcp_reply("SA", ack=973)
    for sequence in (971, 972, 973, 1000, 1001, 2000):
        script.error(about(sequence), code=4, mtu=1400, **at_router)
    script.error(about(973)[:28], code=4, mtu=96, **at_router).error(about(973)[:37], code=4, **at_router)
    script.error(about(973)[:38], code=1, mtu=95, **at_router).tcp("PA", data=GREETING, **FIRST)
    script.error(about(973), code=4, mtu=95, **at_router).tcp("FPA", data=GREETING, **FIRST).tcp(
        "FA", **FIRST
    )
    script.error(about(973), code=4, mtu=1400, **at_router).tcp("A", **FIRST).tcp_reply("A", ack=1001)
    script.error(about(973), code=4, mtu=1400, **at_router).tcp("PA", data=GREETING, **FIRST)
    return case(proxy_v2_path_mtu.__doc__, script, PROXY)


def proxy_v2_changed() -> Case:
    """A new generation that tells the address, or does so otherwise, is for new connections."""
    script = up().tcp("S").tcp_reply("SA", ack=1001).at(2).gateway().tcp("A", **FIRST)
    opened(script, 4001, 1025, BACKENDS[1]).at(4).gateway().tcp("A", 4001, **FIRST)
    script.tcp("S", 4002).tcp_reply("SA", 1026, ack=1001).tcp("A", 4002, **FIRST)
    toa = listener(client_address="toa")
    return case(proxy_v2_changed.__doc__, script, switches=[(1.5, [PROXY]), (3.5, [toa])])


def ipv6_proxy_v2() -> Case:
    """The same of IPv6: a header of 52 bytes, behind extension headers too."""
    script = up6().tcp6("S", options=MSS, data=b"tfo").tcp_reply6("SA", options=[("MSS", 1440)], ack=949)
    script.tcp6("A", **FIRST).tcp_reply6("A", ack=1000).tcp6("PA", data=b"forged", seq=949)
    script.tcp6("PA", data=b"odd", options=TIMESTAMPS, between=IPv6ExtHdrDestOpt(), **FIRST)
    for size in (1388, 1389, 1440):
        script.tcp6("FA", data=b"x" * size, **FIRST)
    script.tcp6("PA", data=b"wrong", chksum=0x1234, **FIRST).tcp6("R", seq=1001)
    script.pieces6(up6().tcp6("PA", data=b"f" * 900, seq=949)).pieces6(up6().tcp6("S", 4009, data=b"f" * 900))
    script.tcp_reply6("A", ack=1001).tcp6("PA", data=b"told", **FIRST)
    return case(ipv6_proxy_v2.__doc__, script, PROXY6, base=base6())


def ipv6_proxy_v2_path_mtu() -> Case:
    """IPv6 has a least MTU: where less than the header is left above it, the header goes alone."""

    def about(sequence: int) -> bytes:
        tcp = TCP(sport=1024, dport=8080, flags="PA", seq=sequence)
        return bytes(to_backend6(tcp / Raw(b"x" * 99)))

    at_router: Json = {"src": "2001:db8:9::9", "dst": LOCAL6}
    script = opened6()
    for sequence in (948, 949, 1001):
        script.error6(about(sequence), 2, mtu=1400, **at_router)
    script.error6(about(949)[:48], 1, **at_router).error6(about(949), 2, mtu=1332, **at_router)
    script.tcp6("PA", data=GREETING, **FIRST).error6(about(949), 2, mtu=1331, **at_router)
    script.tcp6("PA", data=GREETING, **FIRST).error6(about(949), 2, mtu=1400, **at_router)
    return case(ipv6_proxy_v2_path_mtu.__doc__, script, PROXY6, base=base6())


PROXY_V2 = [
    proxy_v2, proxy_v2_lost_and_late, proxy_v2_resets, proxy_v2_not_forged, proxy_v2_begins_anew, proxy_v2_room,
    proxy_v2_path_mtu, proxy_v2_changed, ipv6_proxy_v2, ipv6_proxy_v2_path_mtu,
]  # fmt: skip
