"""Cases of IPv6: FULLNAT, neighbour discovery, ICMPv6."""

from __future__ import annotations

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.packet import Raw

from packets.build import INTERNAL, NEW_GATEWAY_MAC, TIMESTAMPS, VIP, case, dns, listener
from packets.build6 import (
    ADDRESS6,
    ALL_NODES,
    BACKENDS6,
    CLIENT6,
    GATEWAY6,
    LOCAL6,
    NEIGHBOUR6,
    VIP6,
    Script6,
    base6,
    dns6,
    listener6,
    to_backend6,
    to_client6,
    two_arm6,
    up6,
)
from packets.cases_ipv6_headers import (
    ipv6_extension_headers,
    ipv6_fragments,
    ipv6_fragments_that_end,
    ipv6_malformed,
)
from packets.cases_policy import ipv6_source_ranges, ipv6_source_ranges_reloaded
from packets.harness import Case

BACKEND_MAC = "02:bb:00:00:00:05"


def ipv6_tcp_connection() -> Case:
    """A TCP connection over IPv6 from SYN to FIN: addresses, ports, hop limit and checksums both ways; options stay."""
    script = up6().handshake6().tcp6("PA", data=b"GET / HTTP/1.0\r\n\r\n", tc=184, fl=0x12345)
    script.tcp_reply6("PA", data=b"HTTP/1.0 200 OK\r\n").tcp6("A", options=TIMESTAMPS, data=b"odd")
    return case(
        ipv6_tcp_connection.__doc__,
        script.tcp_reply6("FA").tcp6("FA").tcp_reply6("A").tcp6("S"),
        listener6(),
        base=base6(),
    )


def ipv6_udp_exchange() -> Case:
    """UDP over IPv6. RFC 8200: no checksum is refused, one that comes out as zero leaves as 0xffff, a wrong one stays wrong."""
    script = up6().udp6().udp_reply6().udp6(chksum=0).udp_reply6(chksum=0).udp6(chksum=0x1234, data=b"x")
    for n in range(0, 0x10000, 0x3FF):
        script.udp6(data=n.to_bytes(2, "big"), sport=5000).udp_reply6(data=n.to_bytes(2, "big"))
    return case(ipv6_udp_exchange.__doc__, script, dns6(), base=base6())


def ipv6_checksum_zero() -> Case:
    """Of all two-byte payloads one makes the checksum zero behind the change: it leaves as 0xffff, both ways."""
    script = up6().udp6()
    for query, answer in zero_payloads():
        script.udp6(data=query.to_bytes(2, "big")).udp_reply6(data=answer.to_bytes(2, "big"))
    return case(ipv6_checksum_zero.__doc__, script, dns6(), base=base6())


def zero_payloads() -> list[tuple[int, int]]:
    """Payloads beside and at the one that makes the checksum 0 of what is sent on."""

    def zero(packet: IPv6) -> int:
        """The checksum over a payload of 0 is the payload that makes it zero."""
        return int(UDP(bytes(packet)[40:]).chksum)

    query = zero(IPv6(src=LOCAL6, dst=BACKENDS6[0]) / UDP(sport=1024, dport=8080) / Raw(b"\0\0"))
    answer = zero(IPv6(src=VIP6, dst=CLIENT6) / UDP(sport=53, dport=5000) / Raw(b"\0\0"))
    return [(query + n, answer + n) for n in (-1, 0, 1)]


def ipv6_beside_ipv4() -> Case:
    """Both families on one port: the same client ports, the same local ports, tables of their own."""
    script = up6()
    script.gateway()
    script.tcp("S").tcp6("S").tcp_reply("SA").tcp_reply6("SA").tcp("A").tcp6("A").udp().udp6()
    script.udp_reply(1025).udp_reply6(1025).ping(VIP).ping6(VIP6)
    return case(ipv6_beside_ipv4.__doc__, script, listener(), dns(), listener6(), dns6(), base=base6())


def ipv6_schedulers() -> Case:
    """All schedulers choose IPv6 backends; sh and mh by a hash of the whole address."""
    script, names = up6(), ("rr", "wrr", "lc", "wlc", "sh", "mh")
    for n in range(12):
        for index in range(len(names)):
            script.tcp6("S", sport=4000 + n, dport=80 + index, src=f"2001:db8:c:{n % 5}::{n}")
    listeners = [
        listener6(name, port=80 + index, scheduler=name, addresses=BACKENDS6, weights=[1, 2, 3])
        for index, name in enumerate(names)
    ]
    listeners[5]["hash_on"] = "connection"
    return case(ipv6_schedulers.__doc__, script, *listeners, base=base6())


def ipv6_reload() -> Case:
    """Flows of IPv6 outlive a generation without their backend, and its reset where the listener wants that."""
    script = up6().handshake6().udp6().at(2).tcp6("PA", data=b"more").udp_reply6(1025).tcp6("S", sport=4001)
    script.at(3).neighbour().tcp6("A")
    later = [listener6(addresses=BACKENDS6[1:]), dns6(addresses=BACKENDS6[1:], on_backend_removal="reset")]
    return case(ipv6_reload.__doc__, script, listener6(), dns6(), base=base6(), switches=[(1.5, later)])


def ipv6_idle_and_full() -> Case:
    """Flows of IPv6 end when idle; at the limit new ones are refused, of their family only."""
    timeouts = {"established_s": 900, "syn_s": 5, "fin_s": 5, "udp_s": 5}
    script = up6()
    script.gateway()
    for n in range(1030):
        script.tcp6("S", sport=10000 + n)
    script.tcp("S").at(10).neighbour().tcp6("S", sport=9999)
    return case(
        ipv6_idle_and_full.__doc__,
        script,
        listener6(timeouts=timeouts),
        listener(),
        base=base6(max_flows_per_worker=1024),
    )


def ipv6_limits() -> Case:
    """Limits of connections, of clients and of backends, rates and affinity hold for IPv6 as they do for IPv4."""
    script, clients = up6(), [f"2001:db8:c::{n}" for n in range(4)]
    for n in range(3):
        for src in clients:
            script.tcp6("S", 4000 + n, src=src).tcp6("S", 4000 + n, src=src, dport=81)
    script.tcp6("R", 4000, src=clients[0]).tcp6("S", 4003, src=clients[0]).udp6().udp6(sport=5001).udp6(
        sport=5002
    )
    web = listener6(max_connections=9, client_limits={"max_connections": 2}, session_affinity_s=60)
    full = listener6("full", port=81, addresses=BACKENDS6)
    for one in full["backends"]:
        one["max_connections"] = 2
    slow = dns6(client_limits={"new_connections_per_second": 2})
    return case(ipv6_limits.__doc__, script, web, full, slow, base=base6())


def ipv6_neighbour_solicitations() -> Case:
    """Answers for our addresses and VIPs, by unicast, or to all nodes for whoever has no address yet; none for others."""
    script = up6().who_has6(VIP6).who_has6(LOCAL6).who_has6(ADDRESS6).who_has6("2001:db8:77::99")
    script.who_has6(VIP6, sender="::").who_has6(LOCAL6, option=False).who_has6("2001:db8:1::11")
    script.who_has6(ADDRESS6, dst=ADDRESS6, to_mac="02:00:00:00:00:01").who_has6(VIP6, sender=NEIGHBOUR6)
    quiet = listener6("quiet", vip="2001:db8:1::11", arp=False)
    return case(ipv6_neighbour_solicitations.__doc__, script, listener6(), quiet, base=base6())


def ipv6_neighbour_discovery_refused() -> Case:
    """RFC 4861, section 7.1: hop limit, checksum, code, length, options, multicast targets and sources; RFC 6980: fragments."""
    script = up6().who_has6(VIP6, hlim=254).neighbour(hlim=254).who_has6(VIP6, code=1).neighbour(code=1)
    script.who_has6(VIP6, cksum=1).neighbour(cksum=1).who_has6("ff02::5").neighbour(address="ff02::5")
    script.who_has6(VIP6, sender="::", option=True).who_has6(VIP6, sender="::", dst=ALL_NODES)
    script.neighbour(dst=ALL_NODES, S=1).neighbour(mac="03:bb:00:00:00:01").who_has6(
        VIP6, mac="03:00:00:00:00:01"
    )
    ns = ICMPv6ND_NS(tgt=VIP6)
    for tail in (b"\1", b"\1\0" + bytes(6), b"\1\2" + bytes(6), b"\xfe\1" + bytes(6)):
        script.send(IPv6(src=GATEWAY6, dst=ADDRESS6, hlim=255) / ns / Raw(tail))
    for between in (IPv6ExtHdrFragment(id=1), IPv6ExtHdrHopByHop(), IPv6ExtHdrFragment(id=1, m=1)):
        script.send(IPv6(src=GATEWAY6, dst=ADDRESS6, hlim=255) / between / ns)
    script.send(IPv6(src=GATEWAY6, dst=ADDRESS6, hlim=255, nh=58) / Raw(bytes.fromhex("870000000000000000")))
    script.neighbour(option=False).neighbour(address=NEIGHBOUR6).who_has6(
        "2001:db8:77::99", sender=NEIGHBOUR6
    )
    script.send(IPv6(src=GATEWAY6, dst=ADDRESS6, hlim=255) / ICMPv6ND_RA())
    script.send(IPv6(src=GATEWAY6, dst=ALL_NODES, hlim=255) / ICMPv6ND_RA(), dst="33:33:00:00:00:01")
    return case(ipv6_neighbour_discovery_refused.__doc__, script.tcp6("S"), listener6(), base=base6())


def ipv6_gateway_changes() -> Case:
    """An advertisement that overrides gives the gateway another MAC at once; one that does not makes us ask; then silence."""
    script = (
        up6().tcp6("S").neighbour(mac=NEW_GATEWAY_MAC).tcp6("S", sport=4001).at(2).neighbour(O=0).tcp6("A")
    )
    script.tcp6("S", sport=4002).at(3).neighbour(mac=NEW_GATEWAY_MAC, O=0).tcp6("S", sport=4003)
    script.at(5).neighbour(S=0, dst=ALL_NODES).tcp6("S", sport=4004).at(6).tcp6("S", sport=4005)
    script.at(7).who_has6(VIP6, mac=NEW_GATEWAY_MAC).tcp6("S", sport=4006)
    for at_s in (8, 12, 13, 14):
        script.at(at_s).tcp6("S", sport=4010 + at_s)
    return case(ipv6_gateway_changes.__doc__, script, listener6(), base=base6())


def ipv6_neighbour_ages() -> Case:
    """A known MAC is asked for again after 30 s and given up after 36; an advertisement that nobody asked for does not confirm."""
    script = up6().tcp6("S")
    for at_s in (29, 30, 31, 35, 36, 37):
        script.at(at_s).tcp6("S", sport=4000 + at_s)
    script.at(38).neighbour(S=0, dst=ALL_NODES).tcp6("S", sport=4100).at(43).tcp6("S", sport=4101)
    script.at(44).tcp6("S", sport=4102).at(45).neighbour(S=0, O=0).tcp6("S", sport=4103)
    return case(ipv6_neighbour_ages.__doc__, script, listener6(), base=base6())


def ipv6_on_link() -> Case:
    """Clients and backends on the link, link-local clients too: asked for, learned, used without the gateway."""
    script = up6().neighbour(BACKEND_MAC, "2001:db8:77::55").tcp6("S", src=NEIGHBOUR6)
    script.tcp_reply6("SA", backend="2001:db8:77::55").tcp6("S", src="fe80::99")
    script.tcp_reply6("SA", 1025, "2001:db8:77::55").wait(1).tcp6("A", src=NEIGHBOUR6).wait(130).neighbour()
    return case(
        ipv6_on_link.__doc__,
        script.wait(130).neighbour(),
        listener6(addresses=["2001:db8:77::55"]),
        base=base6(),
    )


def ipv6_no_gateway() -> Case:
    """Off-link next hops without gateway6, and one that has not answered yet."""
    alone = base6(port={"gateway6": None})
    del alone["ports"][0]["gateway6"]
    script = Script6().tcp6("S").tcp6("S", src=NEIGHBOUR6)
    return case(ipv6_no_gateway.__doc__, script, listener6(addresses=["2001:db8:77::55"]), base=alone)


def ipv6_two_networks() -> Case:
    """Two ports of IPv6 only: client side and backend side; each answers for its own addresses."""
    script = up6().neighbour("02:cc:00:00:00:01", "2001:db8:88::1", INTERNAL, dst="2001:db8:88::b").tcp6("S")
    script.tcp_reply6("SA", dst="2001:db8:88::65", on=INTERNAL).tcp6("PA", data=b"x")
    script.who_has6("2001:db8:88::65", on=INTERNAL).who_has6("2001:db8:88::65").who_has6(VIP6, on=INTERNAL)
    script.gateway().tcp("S")
    return case(ipv6_two_networks.__doc__, script.who_has6(VIP6), listener6(), base=two_arm6())


def ipv6_echo() -> Case:
    """Echo requests to VIPs and own addresses are answered, a wrong checksum stays wrong; nothing else of ICMPv6 is."""
    script = up6().ping6(VIP6).ping6(LOCAL6).ping6(ADDRESS6).ping6("2001:db8:1::99").ping6(VIP6, chksum=7)
    script.ping6(VIP6, code=1).ping6(VIP6, kind=129).ping6(VIP6, kind=130).ping6(VIP6, hlim=1)
    script.ping6(VIP6, between=IPv6ExtHdrHopByHop()).ping6(VIP6, between=IPv6ExtHdrFragment(id=3, m=1))
    script.send(IPv6(src=CLIENT6, dst=VIP6, nh=58) / Raw(bytes.fromhex("80000000000000")))
    return case(ipv6_echo.__doc__, script, listener6(), base=base6())


def ipv6_hop_limit_and_mtu() -> Case:
    """Time exceeded and packet too big, quoting what fits into 1,280 bytes; not to groups or nobody; a SYN at 1 is no flow."""
    script = up6().tcp6("S", hlim=1).udp6(hlim=2).udp6(hlim=1).udp_reply6(hlim=1).udp6(hlim=0)
    script.udp6(data=b"x" * 1272).udp6(data=b"x" * 1273).udp_reply6(data=b"y" * 1400).udp6(
        data=b"x" * 1300, src="::"
    )
    script.udp6(data=b"x" * 1300, src="ff02::7").udp6(data=b"x" * 1300, src="::1")
    return case(ipv6_hop_limit_and_mtu.__doc__, script, dns6(), listener6(), base=base6(port={"mtu": 1320}))


def ipv6_errors_are_limited() -> Case:
    """Errors of both families share the limit of 1,000 a second."""
    script = up6()
    script.gateway()
    for n in range(1020):
        script.now_us -= 900
        script.udp6(sport=5000 + n % 7, hlim=1)
    return case(
        ipv6_errors_are_limited.__doc__, script.udp(ttl=1).at(2).udp6(hlim=1), dns6(), dns(), base=base6()
    )


def ipv6_unknown_tcp_is_reset() -> Case:
    """RST to segments of no flow, from clients and backends; none to RST or to damaged ones."""
    script = up6().tcp6("A", data=b"old").tcp6("FA", chksum=1).tcp6("R").tcp6("FPU", data=b"odd").tcp6("SA")
    script.tcp_reply6("PA", data=b"late").tcp_reply6("R").udp_reply6().tcp6("A", between=IPv6ExtHdrDestOpt())
    return case(
        ipv6_unknown_tcp_is_reset.__doc__, script.tcp6("A", data=b"x" * 600), listener6(), base=base6()
    )


def ipv6_error_about_the_client() -> Case:
    """An ICMPv6 error from the backends' side reaches the client, from the VIP, about what it sent: path MTU discovery works."""
    tcp = to_backend6(TCP(sport=1024, dport=8080, flags="PA", seq=1, chksum=0x1234) / Raw(b"x" * 100))
    udp = to_backend6(UDP(sport=1025, dport=8080, chksum=0x4321) / Raw(b"query"))
    options = (
        IPv6(src=LOCAL6, dst=BACKENDS6[0]) / IPv6ExtHdrDestOpt() / UDP(sport=1025, dport=8080) / Raw(b"q")
    )
    script = up6().handshake6().udp6().error6(tcp, kind=2, mtu=1280, src=BACKENDS6[0], dst=LOCAL6)
    script.error6(bytes(tcp)[:48], kind=3, src="2001:db8:9::9", dst=LOCAL6)
    script.error6(bytes(tcp)[:57], kind=4, code=1, src="2001:db8:9::9", dst=LOCAL6)
    script.error6(bytes(tcp)[:58], src="2001:db8:9::9", dst=LOCAL6).error6(
        options, src=BACKENDS6[0], dst=LOCAL6
    )
    script.error6(udp, code=4, src=BACKENDS6[0], dst=LOCAL6).error6(udp, src=BACKENDS6[0], dst=LOCAL6, hlim=1)
    return case(ipv6_error_about_the_client.__doc__, script, listener6(), dns6(), base=base6())


def ipv6_error_about_the_backend() -> Case:
    """An ICMPv6 error from the clients' side reaches the backend, from the local address, about what it sent, also
    when the listener is gone."""
    tcp = to_client6(TCP(sport=80, dport=4000, flags="PA", seq=1) / Raw(b"x" * 99))
    udp = to_client6(UDP(sport=53, dport=5000) / Raw(b"answer"))
    first = to_client6(IPv6ExtHdrFragment(id=3, m=1) / UDP(sport=53, dport=5000) / Raw(b"answer88"))
    script = up6().handshake6().udp6().error6(tcp, kind=2, mtu=1280, src="2001:db8:f::1", dst=VIP6)
    script.error6(bytes(udp)[:48], kind=3, code=1, src="2001:db8:f::1", dst=VIP6)
    script.error6(udp, code=4, src=CLIENT6, dst=VIP6).error6(first, kind=2, mtu=1300, src=CLIENT6, dst=VIP6)
    script.at(2).error6(tcp, kind=2, mtu=1280, src="2001:db8:f::1", dst=VIP6)
    script.error6(bytes(tcp)[:40], src=CLIENT6, dst=VIP6).error6(tcp, kind=5, src=CLIENT6, dst=VIP6)
    return case(
        ipv6_error_about_the_backend.__doc__, script, listener6(), dns6(), base=base6(), switches=[(1.5, [])]
    )


def ipv6_error_that_fits_no_flow() -> Case:
    """Errors about no flow of ours, damaged ones, and those that quote too little are dropped and counted."""
    udp = to_backend6(UDP(sport=1024, dport=8080) / Raw(b"query"))
    other = [to_backend6(UDP(sport=1024, dport=8080), BACKENDS6[1]), to_backend6(UDP(sport=80, dport=8080))]
    other += [to_backend6(TCP(sport=1024, dport=8080)), to_client6(UDP(sport=53, dport=5001))]
    other += [
        to_backend6(IPv6ExtHdrFragment(offset=9, nh=17) / Raw(b"x" * 8)),
        to_backend6(Raw(b"x" * 8), nh=47),
    ]
    other += [to_backend6(IPv6ExtHdrRouting(type=0) / UDP(sport=1024, dport=8080))]
    script = up6().udp6()
    for about in (*other, bytes(udp)[:47], bytes(udp)[:39], b"", b"\x45" + bytes(udp)[1:]):
        script.error6(about, src=BACKENDS6[0], dst=LOCAL6)
    script.error6(to_client6(UDP(sport=53, dport=5001)), src=CLIENT6, dst=VIP6).error6(
        udp, src=CLIENT6, dst=ADDRESS6
    )
    script.error6(IPv6(src=ADDRESS6, dst=CLIENT6) / UDP(), src=CLIENT6, dst=ADDRESS6)
    script.error6(udp, src=BACKENDS6[0], dst=LOCAL6, flip=7).error6(udp, kind=5, src=CLIENT6, dst=VIP6)
    return case(ipv6_error_that_fits_no_flow.__doc__, script, dns6(), base=base6())


def ipv6_announcements() -> Case:
    """Own addresses and VIPs are announced three times, a VIP that comes later from then on, one that is quiet not at all."""
    script = Script6().neighbour()
    for at_s in range(1, 8):
        script.at(at_s).neighbour()
    quiet = listener6("quiet", vip="2001:db8:1::11", arp=False)
    later = [listener6(), quiet, dns6(vip="2001:db8:1::12")]
    return case(ipv6_announcements.__doc__, script, listener6(), quiet, base=base6(), switches=[(3.5, later)])


IPV6 = [
    ipv6_tcp_connection, ipv6_udp_exchange, ipv6_checksum_zero, ipv6_beside_ipv4, ipv6_schedulers, ipv6_reload,
    ipv6_idle_and_full, ipv6_limits, ipv6_neighbour_solicitations, ipv6_neighbour_discovery_refused, ipv6_gateway_changes,
    ipv6_neighbour_ages, ipv6_on_link, ipv6_no_gateway, ipv6_two_networks, ipv6_malformed, ipv6_echo,
    ipv6_hop_limit_and_mtu, ipv6_errors_are_limited, ipv6_unknown_tcp_is_reset, ipv6_error_about_the_client,
    ipv6_error_about_the_backend, ipv6_error_that_fits_no_flow, ipv6_extension_headers, ipv6_fragments,
    ipv6_fragments_that_end, ipv6_announcements, ipv6_source_ranges, ipv6_source_ranges_reloaded,
]  # fmt: skip
