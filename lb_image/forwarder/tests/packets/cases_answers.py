"""Cases about ICMP errors that pass through, what the forwarder answers to packets that it drops, and next hops."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.packet import Raw

from packets.build import (
    BACKENDS,
    CLIENT,
    LOCAL,
    TIMESTAMPS,
    VIP,
    base,
    case,
    dns,
    listener,
    to_backend,
    to_client,
    up,
)
from packets.harness import Case


def icmp_error_about_the_client() -> Case:
    """An error from the backends' side about a packet of the client reaches the client, from the VIP, about what it sent.

    So path MTU discovery works (DPVS drops these). What is quoted may end 8 bytes behind its IPv4 header.
    """
    tcp = to_backend(
        TCP(sport=1024, dport=8080, flags="PA", seq=1, chksum=0x1234) / Raw(b"x" * 100), flags="DF"
    )
    udp = to_backend(UDP(sport=1025, dport=8080, chksum=0x4321) / Raw(b"query"))
    none = to_backend(UDP(sport=1025, dport=8080, chksum=0) / Raw(b"query"))
    script = up().handshake().udp().error(tcp, code=4, mtu=1400, src="10.77.0.1", dst=LOCAL)
    script.error(bytes(tcp)[:28], kind=11, code=0, src="10.99.0.9", dst=LOCAL)
    script.error(bytes(tcp)[:38], kind=12, code=0, src="10.99.0.9", dst=LOCAL, options=[IPOption_NOP()] * 4)
    script.error(udp, code=3, src=BACKENDS[0], dst=LOCAL).error(none, code=3, src=BACKENDS[0], dst=LOCAL)
    return case(
        icmp_error_about_the_client.__doc__,
        script.error(udp, src=BACKENDS[0], dst=LOCAL, ttl=1),
        listener(),
        dns(),
    )


def icmp_error_about_the_backend() -> Case:
    """An error from the clients' side about a reply reaches the backend, from the local address, about what it sent."""
    tcp = to_client(TCP(sport=80, dport=4000, flags="PA", seq=1) / Raw(b"x" * 99), flags="DF")
    udp = to_client(UDP(sport=53, dport=5000) / Raw(b"answer"))
    script = up().handshake().udp().error(tcp, code=4, mtu=576, src="203.0.113.1", dst=VIP)
    script.error(bytes(udp)[:28], kind=11, code=1, src="203.0.113.1", dst=VIP).error(
        udp, code=3, src=CLIENT, dst=VIP
    )
    return case(icmp_error_about_the_backend.__doc__, script, listener(), dns())


def icmp_error_that_fits_no_flow() -> Case:
    """Errors about no flow of ours, damaged ones, and those that quote too little are dropped and counted."""
    udp = to_backend(UDP(sport=1024, dport=8080) / Raw(b"query"))
    script = up().udp()
    other = [to_backend(UDP(sport=1024, dport=8080), BACKENDS[1]), to_backend(UDP(sport=80, dport=8080))]
    other += [to_backend(TCP(sport=1024, dport=8080)), IP(src=LOCAL, dst=BACKENDS[0], frag=9) / Raw(b"x" * 8)]
    other += [IP(src=LOCAL, dst=BACKENDS[0], proto=47) / Raw(b"x" * 8), to_client(UDP(sport=53, dport=5001))]
    for about in (*other, bytes(udp)[:27], bytes(udp)[:19], b""):
        script.error(about, src=BACKENDS[0], dst=LOCAL)
    script.error(to_client(UDP(sport=53, dport=5001)), src=CLIENT, dst=VIP).error(
        udp, src=CLIENT, dst="10.77.0.11"
    )
    script.error(IP(src="10.77.0.11", dst=CLIENT) / UDP(), src=CLIENT, dst="10.77.0.11")
    return case(
        icmp_error_that_fits_no_flow.__doc__, script.error(udp, src=BACKENDS[0], dst=LOCAL, chksum=7), dns()
    )


def unknown_tcp_is_dropped() -> Case:
    """With unknown_tcp "drop", a segment that belongs to no flow is not answered with RST."""
    script = up().tcp("A").tcp("FA").tcp_reply("A", 1024)
    return case(unknown_tcp_is_dropped.__doc__, script, base=base(unknown_tcp="drop"))


def unknown_tcp_is_reset() -> Case:
    """RST as RFC 9293 wants it, to clients and to backends; none to RST, to a damaged segment, or to UDP (DPVS sends none)."""
    script = (
        up().tcp("A", data=b"old").tcp("FA", chksum=1).tcp("R").tcp("FPU", data=b"odd").tcp("SA", dport=80)
    )
    script.tcp("A", options=TIMESTAMPS).tcp_reply("PA", 1024, data=b"late").tcp_reply("R", 1024).udp_reply(
        1024
    )
    script.tcp("A", src="10.77.0.50").tcp("A", dport=81)
    return case(
        unknown_tcp_is_reset.__doc__, script.tcp("", options=TIMESTAMPS, data=b"x" * 600), listener(), dns()
    )


def icmp_errors_are_limited() -> Case:
    """Not more than 1,000 errors a second leave; all drops are counted."""
    script = up()
    for n in range(1100):
        script.now_us -= 900
        script.udp(sport=5000 + n % 7, ttl=1)
    return case(icmp_errors_are_limited.__doc__, script.at(2).udp(ttl=1), dns())


def neighbour_forgotten() -> Case:
    """A client on the link is asked for while its flow lives and two minutes more, then its place is free again."""
    script = up().tcp("S", src="10.77.0.50").gateway("02:bb:00:00:00:05", "10.77.0.50")
    for at_s in (20, 40, 59, 61, 100, 119, 121, 150, 200):
        script.at(at_s).gateway()
    return case(neighbour_forgotten.__doc__, script.tcp("S", sport=4001, src="10.77.0.50"))


def no_reset_to_nobody() -> Case:
    """No RST to an address that is not a single host's, and none to a fragment, whatever its checksum: it is part of a segment."""
    script = up().tcp("A", src="224.0.0.5").tcp("A", src="255.255.255.255").tcp("A", src="127.0.0.1")
    script.tcp("A", src="0.1.2.3").send(
        IP(src=CLIENT, dst=VIP, ttl=60, flags="MF")
        / TCP(sport=4000, dport=80, flags="A", ack=7)
        / Raw(b"x" * 12)
    )
    return case(no_reset_to_nobody.__doc__, script.tcp("A", src="223.255.255.254"))


def icmp_error_about_a_removed_listener() -> Case:
    """A flow outlives its listener, and so do errors about it; of errors to addresses that nobody has here nothing is answered."""
    tcp = to_client(TCP(sport=80, dport=4000, flags="PA", seq=1) / Raw(b"x" * 99), flags="DF")
    script = up().handshake().at(2).tcp("A").error(tcp, code=4, mtu=576, src="203.0.113.1", dst=VIP)
    other = to_client(TCP(sport=80, dport=4001, flags="PA", seq=1))
    script.error(other, src="203.0.113.1", dst=VIP).error(b"", src="203.0.113.1", dst=VIP).ping(VIP)
    return case(icmp_error_about_a_removed_listener.__doc__, script, switches=[(1, [])])


FORGET = [neighbour_forgotten, no_reset_to_nobody, icmp_error_about_a_removed_listener]
ANSWERS = [
    icmp_error_about_the_client, icmp_error_about_the_backend, icmp_error_that_fits_no_flow, unknown_tcp_is_reset,
    unknown_tcp_is_dropped, icmp_errors_are_limited,
]  # fmt: skip
