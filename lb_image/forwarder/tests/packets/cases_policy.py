"""Cases about which new flows a listener takes. Those that are there go on."""

from __future__ import annotations

from typing import Any

from packets.build import BACKENDS, base, case, dns, listener, up
from packets.build6 import base6, dns6, listener6, up6
from packets.harness import Case, Json


def limited(limits: list[int], **changes: Any) -> Json:
    """A listener whose backends take so many connections each."""
    one = listener(addresses=BACKENDS[: len(limits)], **changes)
    return {
        **one,
        "backends": [{**b, "max_connections": n} for b, n in zip(one["backends"], limits, strict=True)],
    }


def connection_limit() -> Case:
    """max_connections of a listener: SYNs over it are dropped, what is there goes on, a connection that ended makes room."""
    script = up().tcp("S").tcp("S", 4001).tcp("S", 4002).tcp("S").tcp_reply("SA").tcp("A")
    script.tcp("R", 4001).tcp("S", 4002).tcp("S", 4003).tcp("PA", data=b"x")
    script.udp().udp(sport=5001).udp(sport=5002).udp()
    return case(connection_limit.__doc__, script, listener(max_connections=2), dns(max_connections=2))


def connection_limit_lowered() -> Case:
    """A lower limit in a new generation ends nothing; a higher one lets in at once."""
    script = up()
    for at_s in (0, 2, 4):
        script.at(at_s).gateway()
        for n in range(4):
            script.tcp("S", 4000 + n + at_s)
    switches = [(1.5, [listener(max_connections=1)]), (3.5, [listener(max_connections=6)])]
    return case(connection_limit_lowered.__doc__, script, listener(max_connections=4), switches=switches)


def backend_limit() -> Case:
    """max_connections of backends: a full one is passed over, with all full SYNs are dropped."""
    script = up()
    for n in range(9):
        script.tcp("S", 4000 + n)
    script.tcp("R", 4000).tcp("S", 4010).tcp("S", 4011).tcp("PA", 4008)
    return case(backend_limit.__doc__, script, limited([1, 3, 2], scheduler="wrr", weights=[5, 1, 1]))


def backend_limit_hashed() -> Case:
    """sh: the clients of a full backend go to their next one, the others stay where they are."""
    script = up()
    for n in range(30):
        script.tcp("S", src=f"192.0.2.{n}")
    return case(backend_limit_hashed.__doc__, script, limited([3, 0, 12], scheduler="sh"))


def source_ranges() -> Case:
    """Clients outside allowed_source_ranges, or in denied_source_ranges, make no flow; the longer prefix does not win."""
    script = up()
    for last in (0, 7, 127, 128, 191, 192, 200, 255):
        script.tcp("S", src=f"192.0.2.{last}")
    for src in ("192.0.1.255", "192.0.3.0", "203.0.113.6", "203.0.113.7", "203.0.113.8", "255.255.255.254"):
        script.tcp("S", src=src)
    script.udp(src="192.0.2.129").udp(src="203.0.113.7").udp()
    allowed = ["192.0.2.0/24", "192.0.2.200/32", "203.0.113.7/32"]
    web = listener(allowed_source_ranges=allowed, denied_source_ranges=["192.0.2.128/26", "192.0.2.200/29"])
    return case(source_ranges.__doc__, script, web, dns(denied_source_ranges=["192.0.2.0/24"]))


def source_ranges_reloaded() -> Case:
    """A flow that is there goes on when its client is denied; the client's next one does not begin."""
    script = up().handshake().tcp("S", 4001, src="192.0.2.11")
    script.at(2).gateway().tcp("PA", data=b"x").tcp_reply("PA", data=b"y").tcp("S", 4002)
    script.tcp("S", 4003, src="192.0.2.11").at(4).gateway().tcp("S", 4004)
    switches = [(1.5, [listener(denied_source_ranges=["192.0.2.10/32"])]), (3.5, [listener()])]
    return case(source_ranges_reloaded.__doc__, script, switches=switches)


def ipv6_source_ranges() -> Case:
    """source_ranges over IPv6: prefixes that end in either half of an address; those of IPv4 beside them are the other listener's."""
    script = up6()
    script.gateway()
    for last in ("", "7", "8", "ffff:ffff:ffff:ffff"):
        script.tcp6("S", src=f"2001:db8:c:0:{last}" if last.count(":") else f"2001:db8:c::{last}")
    for src in (
        "2001:db8:b:ffff::1",
        "2001:db8:c:1::1",
        "2001:db8:c:8000::1",
        "2001:db8:d::1",
        "2001:db8:e::7",
        "2001:db8:e::8",
    ):
        script.tcp6("S", src=src)
    script.udp6(src="2001:db8:c::7").udp6(src="fe80::77").udp6().tcp("S").tcp("S", src="192.0.2.11")
    allowed = ["2001:db8:c::/48", "2001:db8:c::8/128", "2001:db8:e::7/128"]
    web = listener6(
        allowed_source_ranges=allowed, denied_source_ranges=["2001:db8:c:8000::/49", "2001:db8:c::8/125"]
    )
    others = (
        dns6(denied_source_ranges=["2001:db8:c::7/128"]),
        listener(denied_source_ranges=["192.0.2.11/32"]),
    )
    return case(ipv6_source_ranges.__doc__, script, web, *others, base=base6())


def ipv6_source_ranges_reloaded() -> Case:
    """A flow of IPv6 goes on when its client is denied, the next one does not begin; ::/128 alone lets nobody in, none all."""
    script = (
        up6().handshake6().at(2).neighbour().tcp6("PA", data=b"x").tcp_reply6("PA", data=b"y").tcp6("S", 4001)
    )
    script.at(4).neighbour().tcp6("S", 4002).tcp6("PA", data=b"z").at(6).neighbour().tcp6("S", 4003)
    denied, closed = (
        listener6(denied_source_ranges=["2001:db8::/32"]),
        listener6(allowed_source_ranges=["::/128"]),
    )
    switches = [(1.5, [denied]), (3.5, [closed]), (5.5, [listener6()])]
    return case(ipv6_source_ranges_reloaded.__doc__, script, listener6(), base=base6(), switches=switches)


def session_affinity() -> Case:
    """session_affinity_s: a client stays with its backend when others come, until it is away for long, or the backend goes."""
    clients, script = [f"192.0.2.{n}" for n in range(12)], up()
    for at_s in (0, 2, 11, 25, 27, 29):
        script.at(at_s).gateway()
        for src in clients:
            script.tcp("S", 4000 + at_s, src=src)
    script.tcp("S", 5000, src="192.0.2.3").tcp("S", 5001, src="192.0.2.3")
    sticky: Json = {"scheduler": "wrr", "session_affinity_s": 10}
    all_three = listener(addresses=BACKENDS, weights=[1, 2, 1], **sticky)
    drained = listener(addresses=BACKENDS, weights=[1, 0, 1], **sticky)
    switches = [(1.5, [all_three]), (26.5, [drained]), (28.5, [all_three])]
    return case(
        session_affinity.__doc__, script, listener(addresses=BACKENDS[:2], **sticky), switches=switches
    )


def session_affinity_full() -> Case:
    """A client whose backend is full goes elsewhere, and comes back when there is room."""
    script = up()
    for n in range(3):
        script.tcp("S", 4000 + n)
    script.tcp("R", 4000).tcp("S", 4003)
    return case(session_affinity_full.__doc__, script, limited([1, 1, 1], session_affinity_s=60))


def client_limit() -> Case:
    """client_limits.max_connections: of each client for itself; a connection that ended makes room, by FIN as by RST."""
    script = up()
    for src in ("192.0.2.10", "192.0.2.11"):
        for n in range(3):
            script.tcp("S", 4000 + n, src=src)
    script.tcp_reply("SA").tcp("A", 4000).tcp_reply("FA").tcp("FA", 4000).tcp("S", 4002).tcp("S", 4003)
    script.tcp("R", 4001, src="192.0.2.11").tcp("S", 4001, src="192.0.2.11").udp().udp(sport=5001).udp()
    limits = {"max_connections": 2}
    return case(
        client_limit.__doc__,
        script,
        listener(client_limits=limits),
        dns(client_limits={"max_connections": 1}),
    )


def client_rate() -> Case:
    """client_limits.new_connections_per_second: a second's worth at once, then as they come; packets of a flow cost nothing."""
    script = up()
    for at_s in (0.1, 0.2, 1.0, 3.0):
        script.at(at_s).gateway()
        for n in range(7):
            script.tcp("S", round(4000 + 100 * at_s + n)).tcp("S", round(4000 + 100 * at_s + n))
    script.tcp("S", src="192.0.2.11")
    limits = {"new_connections_per_second": 5}
    return case(client_rate.__doc__, script, listener(client_limits=limits))


def half_open_share() -> Case:
    """A flood of SYNs takes its share: what is established goes on, the oldest give way, who answers in time gets through."""
    script = up().handshake().udp()
    for n in range(700):
        script.tcp("S", 10000 + n)
        if n == 600:
            script.handshake(4001, 1024 + 2 + n + 1, BACKENDS[n % 2])
    script.tcp("PA", data=b"alive").tcp("PA", 4001, b"alive").udp().tcp("A", 10000).tcp("A", 10699)
    return case(half_open_share.__doc__, script, listener(), dns(), base=base(max_flows_per_worker=1024))


def half_open_makes_room() -> Case:
    """In a full table the oldest half-open connection gives way to a flow of any kind; without one new flows are refused."""
    script = up()
    for n in range(1021):
        script.udp(sport=10000 + n)
    script.tcp("S", 4000).handshake(4001, 1024 + 1022, BACKENDS[1]).tcp("S", 4002)
    script.udp(sport=9000).tcp("A", 4000).udp(sport=9001).tcp("A", 4002).udp(sport=9002).tcp(
        "PA", 4001, b"alive"
    )
    whole = base(max_flows_per_worker=1024, half_open_percent=100)
    return case(half_open_makes_room.__doc__, script, listener(), dns(), base=whole)


POLICY = [
    connection_limit, connection_limit_lowered, backend_limit, backend_limit_hashed, source_ranges, source_ranges_reloaded,
    session_affinity, session_affinity_full, client_limit, client_rate,
    half_open_share, half_open_makes_room,
]  # fmt: skip
