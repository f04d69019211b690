"""Cases of listeners that tell their backends the client's address."""

from __future__ import annotations

from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt
from scapy.packet import Raw

from packets.build import BACKENDS, LOCAL, TIMESTAMPS, case, dns, listener, to_backend, up
from packets.build6 import LOCAL6, base6, listener6, to_backend6, up6
from packets.harness import Case

MSS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2))]
TOA, TOA6 = listener(client_address="toa"), listener6(client_address="toa")


def toa() -> Case:
    """From the end of the handshake on the client's segments carry its address, until the backend has said more than SYN+ACK."""
    script = up().tcp("S", options=MSS).tcp_reply("SA", options=MSS).tcp("A", options=TIMESTAMPS)
    script.tcp("PA", data=b"GET / HTTP/1.0\r\n\r\n").tcp("PA", data=b"odd", options=TIMESTAMPS)
    script.tcp_reply("A", ack=1019).tcp("PA", data=b"more").tcp_reply("PA", data=b"HTTP/1.0 200 OK\r\n").tcp(
        "FA"
    )
    script.tcp("S", 4001, src="192.0.2.11").tcp_reply("SA", 1025, BACKENDS[1]).tcp(
        "A", 4001, src="192.0.2.11"
    )
    script.tcp_reply("PA", 1025, BACKENDS[1], b"220 speaks first").tcp("PA", 4001, b"HELO", src="192.0.2.11")
    return case(toa.__doc__, script.udp(), TOA, dns())


def toa_lost_and_reordered() -> Case:
    """Whichever segment ends the handshake has it: the ACK is lost, comes late, or is a FIN; a SYN+ACK again ends nothing."""
    script = up().tcp("S").tcp_reply("SA").tcp("PA", data=b"the ACK was lost").tcp_reply("SA")
    script.tcp("PA", data=b"again").tcp("A").tcp_reply("A", ack=1006).tcp("PA", data=b"done")
    script.tcp("S", 4001).tcp("S", 4001).tcp_reply("SA", 1025, BACKENDS[1]).tcp("FA", 4001)
    script.tcp_reply("FA", 1025, BACKENDS[1]).tcp("A", 4001)
    script.tcp("S", 4002).tcp_reply("SA", 1026).tcp("A", 4002).tcp("R", 4002).tcp("A", 4002)
    script.tcp("S", 4002).tcp_reply("SA", 1027, BACKENDS[1]).tcp("A", 4002)
    return case(toa_lost_and_reordered.__doc__, script, TOA)


def toa_no_room() -> Case:
    """A full header, a segment as long as the MTU, or in fragments goes without it, and without one of the client's; it is counted."""
    script = up().handshake()
    for nops in (32, 36, 40):
        script.tcp("A", options=[("NOP", None)] * nops)
    for size in (1452, 1453, 1454, 1460):
        script.tcp("A", data=b"x" * size)
    script.pieces(up().tcp("PA", data=b"f" * 900, id=5)).tcp("PA", data=b"wrong", chksum=0x1234)
    short = up().tcp("A").frames[-1].data
    own = [(254, b"\x10\x92\x0a\0\0\1"), ("NOP", None), (254, b"")] + [("NOP", None)] * 28
    script.tcp("A", options=own, data=b"not forged").pieces(
        up().tcp("PA", data=b"f" * 900, options=own[:1], id=6)
    )
    return case(toa_no_room.__doc__, script.raw(short.ljust(60, b"\xee")), TOA)


def toa_mss() -> Case:
    """The SYN+ACK asks for segments that have room, wherever its option stands; options that make no sense stay as they are."""
    script = up().tcp("S", options=[("MSS", 1460)])
    for options in (
        [("MSS", 1460)], [("NOP", None), ("MSS", 1380)], [("SAckOK", b""), ("NOP", None), ("MSS", 8960)],
        [("MSS", 8)], [("MSS", 9)], [("MSS", 0)], [("NOP", None)] * 4, [],
    ):  # fmt: skip
        script.tcp_reply("SA", options=options)
    for senseless in (
        b"\x05\0\2\4\5\xb4\0\0", b"\5\1\2\4\5\xb4\0\0", b"\5\x20\2\4\5\xb4\0\0", b"\0\2\4\5\xb4\0\0\0",
        b"\2\3\5\2\4\5\xb4\0", b"\1\1\1\1\1\2\4\5",
    ):  # fmt: skip
        script.tcp_reply("SA", data=senseless, dataofs=7)
    script.pieces(up().tcp_reply("SA", options=MSS, data=b"f" * 900, id=5))
    return case(
        toa_mss.__doc__, script.tcp("A").tcp_reply("A", ack=1009).tcp_reply("PA", data=b"it has it"), TOA
    )


def toa_path_mtu() -> Case:
    """What a router says of the path is told less the option, until the backend has it; what no path could be ends it."""
    about = to_backend(TCP(sport=1024, dport=8080, flags="PA", seq=1) / Raw(b"x" * 99), flags="DF")
    script = up().handshake()
    for code, mtu in ((4, 1400), (4, 0), (1, 1400), (4, 76)):
        script.error(about, code=code, mtu=mtu, src="10.77.0.1", dst=LOCAL)
    script.tcp("A").error(about, code=4, mtu=75, src="10.77.0.1", dst=LOCAL).tcp("A")
    script.error(about, code=4, mtu=1400, src="10.77.0.1", dst=LOCAL)
    return case(toa_path_mtu.__doc__, script, TOA)


def toa_changed() -> Case:
    """A new generation that tells the address, or does not any more, is for new connections."""
    script = up().tcp("S").tcp_reply("SA").at(2).gateway().tcp("A").tcp("S", 4001)
    script.tcp_reply("SA", 1025, BACKENDS[1]).at(4).gateway().tcp("A", 4001).tcp("S", 4002)
    script.tcp_reply("SA", 1026).tcp("A", 4002)
    return case(toa_changed.__doc__, script, switches=[(1.5, [TOA]), (3.5, [listener()])])


def ipv6_toa() -> Case:
    """The same of IPv6: 20 bytes, behind extension headers too; what is too long or in fragments goes without it."""
    script = up6().tcp6("S", options=MSS).tcp_reply6("SA", options=[("NOP", None), ("MSS", 1440)])
    script.tcp6("A").tcp6("PA", data=b"odd", options=TIMESTAMPS, between=IPv6ExtHdrDestOpt())
    script.tcp_reply6("SA", options=[("MSS", 8940)]).tcp6("PA", data=b"wrong", chksum=0x1234)
    for size in (1420, 1421):
        script.tcp6("A", data=b"x" * size)
    for nops in (20, 24):
        script.tcp6("A", options=[("NOP", None)] * nops)
    script.pieces6(up6().tcp6("PA", data=b"f" * 900)).tcp6("R", 4009)
    script.tcp_reply6("A", ack=1004).tcp6("PA", data=b"more")
    return case(ipv6_toa.__doc__, script, TOA6, base=base6())


def ipv6_toa_path_mtu() -> Case:
    """IPv6 has a least MTU: where less than the option is left above it, none is added any more, and the address is not told."""
    about = to_backend6(TCP(sport=1024, dport=8080, flags="PA", seq=1) / Raw(b"x" * 99))
    script = up6().handshake6()
    for kind, mtu in ((2, 1400), (1, 1400), (2, 1300)):
        script.error6(about, kind, mtu=mtu, src="2001:db8:9::9", dst=LOCAL6)
    script.tcp6("A").error6(about, 2, mtu=1299, src="2001:db8:9::9", dst=LOCAL6).tcp6("A")
    return case(ipv6_toa_path_mtu.__doc__, script, TOA6, base=base6())


def toa_begins_anew() -> Case:
    """A SYN on a connection whose backend has the address may begin another, and that is told again."""
    script = (
        up()
        .handshake()
        .tcp_reply("A", ack=1002)
        .tcp("PA", data=b"told")
        .tcp("S", seq=5000)
        .tcp_reply("SA", ack=5001)
    )
    script.tcp("A", seq=5001)
    return case(toa_begins_anew.__doc__, script.tcp_reply("A", ack=5009).tcp("PA", data=b"told again"), TOA)


def toa_not_forged() -> Case:
    """What a backend says before it has the connection ends nothing: an ACK of the SYN, or RST, in answer to a segment out of window."""
    own = [(254, b"\x10\x92\x0a\0\0\1")]
    script = up().tcp("S", options=own).tcp_reply("SA").tcp("A", seq=10_001_001).tcp_reply("A")
    script.tcp("A", seq=1001, options=own).tcp("S", seq=2_000_000_000).tcp_reply("A")
    script.tcp("A", seq=1001, options=own).tcp_reply("A", ack=1002)
    script.tcp("PA", seq=1002, data=b"its own", options=own)
    about = to_backend(
        TCP(sport=1025, dport=8080, flags="PA", seq=1) / Raw(b"x" * 99), BACKENDS[1], flags="DF"
    )
    script.tcp("S", 4001).tcp_reply("SA", 1025, BACKENDS[1]).tcp("A", 4001)
    script.error(about, code=4, mtu=75, src="10.77.0.1", dst=LOCAL).tcp("A", 4001, options=own)
    script.tcp("PA", 4001, b"x", options=own).tcp_reply("A", 1025, BACKENDS[1], ack=1002)
    script.tcp("PA", 4001, b"told nothing", options=own)
    script.tcp("S", 4002).tcp_reply("SA", 1026).tcp("A", 4002).tcp_reply("R", 1026)
    script.tcp("A", 4002, seq=1001, options=own)
    return case(toa_not_forged.__doc__, script, TOA)


CLIENT_ADDRESS = [
    toa, toa_lost_and_reordered, toa_no_room, toa_mss, toa_path_mtu, toa_changed, ipv6_toa, ipv6_toa_path_mtu,
]  # fmt: skip
