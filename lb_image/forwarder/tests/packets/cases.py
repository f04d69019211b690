"""The cases by name. Each function's docstring is what the case shows."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP, IPOption_NOP
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from packets.build import (
    BACKENDS,
    CLIENT,
    EXTERNAL,
    INTERNAL,
    LOCAL,
    NEW_GATEWAY_MAC,
    TIMESTAMPS,
    VIP,
    Script,
    base,
    case,
    dns,
    listener,
    two_arm,
    up,
)  # fmt: skip
from packets.cases_answers import ANSWERS, FORGET
from packets.cases_client_address import CLIENT_ADDRESS, toa_begins_anew, toa_not_forged
from packets.cases_ipv6 import IPV6
from packets.cases_local_owner import LOCAL_OWNER
from packets.cases_policy import POLICY
from packets.cases_proxy import PROXY_V2
from packets.cases_schedulers import SCHEDULERS
from packets.cases_sync import SYNC
from packets.cases_vips import VIPS
from packets.cases_vlan import VLANS
from packets.harness import Case


def tcp_connection() -> Case:
    """A TCP connection from SYN to FIN: addresses, ports, TTL and checksums both ways."""
    script = (
        up()
        .handshake()
        .tcp("PA", data=b"GET / HTTP/1.0\r\n\r\n")
        .tcp_reply("PA", data=b"HTTP/1.0 200 OK\r\n")
    )
    return case(tcp_connection.__doc__, script.tcp_reply("FA").tcp("FA").tcp_reply("A"))


def udp_exchange() -> Case:
    """UDP with and without a checksum: 0 stays 0."""
    script = up().udp().udp_reply().udp(sport=5001, chksum=0).udp_reply(1025, BACKENDS[1], chksum=0)
    return case(udp_exchange.__doc__, script, dns())


def udp_checksum_zero_is_sent_as_ffff() -> Case:
    """RFC 768: a checksum that comes out as zero leaves as 0xffff, on both sides."""
    script = up()
    # The second pair makes the checksum zero behind the change of addresses; the others lie beside it.
    for query, answer in ((0xC69E, 0xFFD3), (0xC69F, 0xFFD4), (0xC6A0, 0xFFD5)):
        script.udp(sport=5000, data=query.to_bytes(2, "big"))
        script.udp_reply(data=answer.to_bytes(2, "big"))
    return case(udp_checksum_zero_is_sent_as_ffff.__doc__, script, dns())


def round_robin() -> Case:
    """rr: new connections take turns over three backends, one with weight 0 is left out."""
    script = up()
    for n in range(7):
        script.tcp("S", sport=4000 + n)
    return case(
        round_robin.__doc__, script, listener(addresses=[*BACKENDS, "10.244.0.8"], weights=[1, 1, 1, 0])
    )


def weighted_round_robin() -> Case:
    """wrr: shares follow the weights."""
    script = up()
    for n in range(24):
        script.tcp("S", sport=4000 + n)
    return case(
        weighted_round_robin.__doc__, script, listener(scheduler="wrr", addresses=BACKENDS, weights=[6, 4, 2])
    )


def no_backends() -> Case:
    """Weights of 0 and an empty list: new connections are dropped and counted, the running one goes on."""
    script = (
        up().handshake().at(2).tcp("PA", data=b"still here").tcp("S", sport=4001).at(4).tcp("S", sport=4002)
    )
    switches = [(1.5, [listener(weights=[0, 0])]), (3.5, [listener(addresses=[])])]
    return case(no_backends.__doc__, script, switches=switches)


def reload_keeps_flows() -> Case:
    """A new generation without the backend of a running flow: the flow stays where it is, new ones go elsewhere."""
    script = up().handshake().at(2).tcp("PA", data=b"more").tcp_reply("A").tcp("S", sport=4001)
    return case(reload_keeps_flows.__doc__, script, switches=[(1.5, [listener(addresses=BACKENDS[1:])])])


def listener_removed() -> Case:
    """Flows of a removed listener go on until they are idle; new ones are refused; another listener does not notice."""
    script = up().handshake().udp().at(2).tcp("PA", data=b"more").tcp_reply("A").tcp("S", sport=4001).udp()
    script.ping(VIP).wait(950).gateway().tcp("PA", data=b"too late")
    return case(listener_removed.__doc__, script, listener(), dns(), switches=[(1.5, [dns()])])


def idle_timeouts() -> Case:
    """SYN, established, FIN and UDP flows end after their own idle times, not before."""
    timeouts = {"established_s": 20, "syn_s": 3, "fin_s": 5, "udp_s": 8}
    script = up().tcp("S", sport=4000).handshake(4001, 1025, BACKENDS[1]).handshake(4002, 1026)
    script.tcp("FA", sport=4002).udp()
    for second in (2, 4, 6, 9, 14, 30):
        script.at(second).gateway()
        for sport in (4000, 4001, 4002):
            script.tcp("A", sport=sport)
        script.udp_reply(1027)
    one, two = listener(timeouts=timeouts), dns(timeouts=timeouts)
    return case(idle_timeouts.__doc__, script, one, two)


def port_reused_after_close() -> Case:
    """A SYN on a closed connection begins a new one; a SYN on an open one does not."""
    script = (
        up()
        .handshake()
        .tcp("S")
        .tcp("FA")
        .tcp_reply("FA")
        .tcp("A")
        .tcp("S")
        .tcp_reply("SA", 1025, BACKENDS[1])
    )
    return case(port_reused_after_close.__doc__, script.handshake(4001, 1026).tcp("R", 4001).tcp("S", 4001))


def tcp_without_flow() -> Case:
    """Segments without SYN, SYN+ACK from a client and replies that belong to no flow are dropped and counted."""
    script = up().tcp("A").tcp("SA").tcp("R").tcp("SF").tcp_reply("SA", 1024).tcp_reply("A", 80)
    return case(tcp_without_flow.__doc__, script.tcp("S").tcp_reply("SA", 1024, BACKENDS[2]).udp_reply(1024))


def arp_answers() -> Case:
    """ARP is answered for the own and local addresses and for a VIP that says so, and for nothing else."""
    script = (
        up().who_has("10.77.0.11").who_has(LOCAL).who_has(VIP).who_has("198.51.100.11").who_has("10.77.0.77")
    )
    script.who_has(VIP, sender="10.77.0.50").who_has("10.77.0.12", sender="10.77.0.50")
    return case(arp_answers.__doc__, script, listener(), listener("quiet", vip="198.51.100.11", arp=False))


def arp_malformed() -> Case:
    """ARP that is cut off, of another hardware type or from a group address."""
    script = up().raw(bytes.fromhex("020000000001") + b"\2\xaa\0\0\0\1\x08\x06" + bytes(20))
    script.send(ARP(hwtype=6, op=1, pdst=VIP)).send(ARP(op=2, hwsrc="03:00:00:00:00:01", psrc="10.77.0.1"))
    return case(arp_malformed.__doc__, script.tcp("S"))


def echo() -> Case:
    """ICMP echo to the own address, a local address and a VIP is answered; a wrong checksum stays wrong."""
    script = up().ping("10.77.0.11").ping(LOCAL).ping(VIP).ping(VIP, chksum=0x1234).ping("198.51.100.99")
    return case(echo.__doc__, script.ping(VIP, ttl=1))


def icmp_others() -> Case:
    """Other ICMP, and what is too short, is counted."""
    script = up().ping(VIP, kind=13).ping(VIP, kind=5).send(IP(src=CLIENT, dst=VIP, proto=1) / Raw(b"\x08\0"))
    return case(icmp_others.__doc__, script)


def ttl() -> Case:
    """TTL is decremented both ways; 1 and 0 are dropped, counted and answered (DPVS forwards them)."""
    script = (
        up().tcp("S", ttl=2).tcp_reply("SA", ttl=255).tcp("A", ttl=1).tcp("A", ttl=0).tcp_reply("A", ttl=1)
    )
    return case(ttl.__doc__, script)


def gateway_mac_changes() -> Case:
    """A running flow follows the gateway's new MAC both ways (DPVS keeps the old one)."""
    script = up().handshake().gateway(NEW_GATEWAY_MAC).tcp("PA", data=b"x").tcp_reply("A")
    return case(gateway_mac_changes.__doc__, script)


def gateway_silent() -> Case:
    """A gateway is asked again after 30 s and given up after 36 s without an answer; it may come back."""
    script = up().handshake()
    for second in (*range(28, 40), 45):
        script.at(second).tcp("A")
    return case(gateway_silent.__doc__, script.gateway().tcp("A"))


def gateway_unknown() -> Case:
    """Before the gateway has answered nothing can be sent."""
    return case(
        gateway_unknown.__doc__, Script().tcp("S").udp().ping(VIP).gateway().tcp("S"), listener(), dns()
    )


def corrupt_is_not_laundered() -> Case:
    """A wrong TCP or UDP checksum is still wrong when it leaves (DPVS computes a right one)."""
    script = (
        up()
        .handshake()
        .tcp("PA", data=b"damaged", chksum=0xBEEF)
        .udp(chksum=0xDEAD)
        .udp_reply(1025, chksum=0xF00D)
    )
    return case(corrupt_is_not_laundered.__doc__, script, listener(), dns())


def bad_ip_checksum() -> Case:
    """A wrong IPv4 header checksum is dropped and counted."""
    return case(
        bad_ip_checksum.__doc__, up().tcp("S", chksum=None).send(IP(src=CLIENT, dst=VIP, chksum=1) / UDP())
    )


def tcp_timestamps_untouched() -> Case:
    """TCP options pass as they are (DPVS erases timestamps)."""
    script = (
        up().tcp("S", options=[("MSS", 1460), ("SAckOK", b""), ("WScale", 7), *TIMESTAMPS]).tcp_reply("SA")
    )
    return case(tcp_timestamps_untouched.__doc__, script.tcp("A", options=TIMESTAMPS, data=b"odd"))


def ip_options() -> Case:
    """IPv4 options pass as they are."""
    options = [IPOption_NOP()] * 4
    return case(
        ip_options.__doc__,
        up().tcp("S", options=[]).udp(options=options).ping(VIP, options=options),
        listener(),
        dns(),
    )


def fragments() -> Case:
    """All fragments of a datagram follow the first, both ways, under one number of ours (DPVS drops them)."""
    script = (
        up().pieces(Script().udp(data=b"q" * 3000, id=7)).pieces(Script().udp_reply(data=b"a" * 3001, id=7))
    )
    script.pieces(Script().tcp("S", data=b"x" * 1000, id=8)).pieces(
        Script().tcp_reply("SA", 1025, data=b"y" * 999, id=9)
    )
    # Two clients that chose the same number, at the same time, and one datagram in the wrong order.
    one, two = (Script().udp(src=f"192.0.2.{n}", data=b"z" * 1100, id=77).pieces_of() for n in (1, 2))
    for piece in (one[0], two[0], two[1], one[1], two[2], one[2]):
        script.raw(piece)
    late = Script().udp(sport=5009, data=b"w" * 1100, id=78).pieces_of()
    return case(fragments.__doc__, script.raw(late[1]).raw(late[0]).raw(late[2]), listener(), dns())


def fragments_that_end() -> Case:
    """Fragments that are no first ones, too short, of ICMP, too late, or of a flow that has ended."""
    first, later, last = Script().udp(data=b"q" * 1100, id=7).pieces_of()
    script = up().raw(later).udp(flags="MF", data=b"", len=27).udp(flags="MF", proto=47).ping(VIP, flags="MF")
    script.raw(first).raw(later).at(29).gateway().raw(later).at(31).gateway().raw(last)
    script.raw(first).udp(flags="MF", ttl=1, id=9).udp(frag=9, ttl=1, id=7)
    ends = dns(timeouts={"established_s": 900, "syn_s": 60, "fin_s": 60, "udp_s": 40})
    return case(fragments_that_end.__doc__, script.at(75).gateway().raw(last), listener(), ends)


def malformed() -> Case:
    """Truncated frames and lying length fields."""
    good = bytes(IP(src=CLIENT, dst=VIP) / UDP(sport=1, dport=53) / Raw(b"abcd"))
    head = bytes.fromhex("020000000001") + b"\2\xaa\0\0\0\1\x08\0"
    script = up().raw(b"").raw(head[:10]).raw(head).raw(head + good[:12]).raw(head + good[:25])
    script.send(IP(src=CLIENT, dst=VIP, version=6) / UDP(dport=53)).send(
        IP(src=CLIENT, dst=VIP, ihl=4) / UDP(dport=53)
    )
    script.send(IP(src=CLIENT, dst=VIP, len=10) / UDP(dport=53)).send(
        IP(src=CLIENT, dst=VIP) / UDP(dport=53, len=7)
    )
    script.send(IP(src=CLIENT, dst=VIP) / UDP(dport=53, len=50)).send(
        IP(src=CLIENT, dst=VIP, proto=17) / Raw(b"abc")
    )
    script.send(IP(src=CLIENT, dst=VIP, proto=6) / Raw(bytes(12) + b"\x40" + bytes(7)))
    return case(
        malformed.__doc__, script.send(IP(src=CLIENT, dst=VIP, proto=6) / Raw(bytes(12) + b"\xf0" + bytes(9)))
    )


def other_protocols() -> Case:
    """Other Ethernet types and IP protocols, other destinations and other MAC addresses."""
    script = up().raw(bytes.fromhex("020000000001") + b"\2\xaa\0\0\0\1\x88\xcc" + bytes(40))
    script.send(IP(src=CLIENT, dst=VIP, proto=47) / Raw(b"gre")).tcp("S", dst="203.0.113.9").tcp(
        "S", dst="10.77.0.11"
    )
    script.tcp("S", dport=81).udp(dport=80).send(
        IP(src=CLIENT, dst=VIP) / UDP(dport=53), dst="02:00:00:00:00:77"
    )
    return case(other_protocols.__doc__, script, listener(), dns())


def mtu() -> Case:
    """A datagram over the MTU of its way out is dropped; its sender is told the MTU if it wants no fragments (DPVS sends it)."""
    small = base()
    small["ports"] = [{**small["ports"][0], "mtu": 600}]
    script = up().udp(data=b"x" * 572).udp(data=b"x" * 573).udp_reply(data=b"y" * 600)
    script.udp(data=b"x" * 573, flags="DF").udp_reply(data=b"y" * 600, flags="DF")
    script.udp(data=b"x" * 573, flags="DF", src="127.0.0.1").udp(data=b"x" * 573, flags="DF", src="224.0.0.1")
    return case(mtu.__doc__, script, dns(), base=small)


def frame_padding() -> Case:
    """Bytes behind the datagram are not part of it."""
    data = bytes(IP(src=CLIENT, dst=VIP, ttl=9) / UDP(sport=9, dport=53) / Raw(b"a"))
    return case(
        frame_padding.__doc__,
        up().raw(bytes.fromhex("02000000000102aa000000010800") + data.ljust(46, b"\7")),
        dns(),
    )


def flow_table_full() -> Case:
    """At the limit new flows are refused and counted, old ones live, and places come back (DPVS grows without bound)."""
    timeouts = {"established_s": 900, "syn_s": 5, "fin_s": 5, "udp_s": 5}
    script = up().handshake()
    for n in range(1100):
        script.udp(sport=10000 + n)
    script.tcp("PA", data=b"alive").tcp("S", 4001).at(10).tcp("PA", data=b"alive").tcp("S", 4001)
    web = listener(timeouts=timeouts)
    return case(
        flow_table_full.__doc__, script, web, dns(timeouts=timeouts), base=base(max_flows_per_worker=1024)
    )


def no_gateway() -> Case:
    """An off-link next hop without a gateway; clients and backends on the link are reached."""
    alone = base()
    del alone["ports"][0]["gateway"]
    script = Script().tcp("S").tcp("S", src="10.77.0.50").wait(1).gateway("02:bb:00:00:00:05", "10.77.0.55")
    script.tcp("S", src="10.77.0.50").tcp_reply("SA", 1025, "10.77.0.55").tcp_reply("SA", 1026, "10.77.0.55")
    return case(no_gateway.__doc__, script, listener(addresses=["10.77.0.55"]), base=alone)


def backends_on_link() -> Case:
    """Backends on the link are resolved ahead of the first packet."""
    script = up().gateway("02:bb:00:00:00:05", "10.77.0.55").tcp("S").tcp_reply("SA", backend="10.77.0.55")
    return case(backends_on_link.__doc__, script, listener(addresses=["10.77.0.55"]))


def two_networks() -> Case:
    """Two ports: client side and backend side, each with its gateway; ARP of each port answers its own addresses only."""
    script = up().gateway("02:cc:00:00:00:01", "10.88.0.1", INTERNAL).tcp("S")
    script.tcp_reply("SA", local="10.88.0.101", on=INTERNAL).tcp("PA", data=b"x")
    script.who_has("10.88.0.101", port=INTERNAL).who_has("10.88.0.101").who_has(VIP, port=INTERNAL).who_has(
        VIP
    )
    return case(two_networks.__doc__, script.who_has("10.88.0.11", port=EXTERNAL), base=two_arm())


def two_local_addresses() -> Case:
    """Replies are told apart by local address and port."""
    script = (
        up().tcp("S").tcp_reply("SA").tcp_reply("SA", local="10.77.0.102").tcp_reply("SA", 1025, BACKENDS[1])
    )
    return case(two_local_addresses.__doc__, script, base=base(local_addresses=[LOCAL, "10.77.0.102"]))


CASES = [
    tcp_connection, udp_exchange, udp_checksum_zero_is_sent_as_ffff, round_robin, weighted_round_robin, no_backends,
    reload_keeps_flows, listener_removed, idle_timeouts, port_reused_after_close, tcp_without_flow, arp_answers,
    arp_malformed, echo, icmp_others, ttl, gateway_mac_changes, gateway_silent, gateway_unknown,
    corrupt_is_not_laundered, bad_ip_checksum, tcp_timestamps_untouched, ip_options, fragments, malformed,
    other_protocols, mtu, frame_padding, flow_table_full, no_gateway, backends_on_link, two_networks,
    two_local_addresses, *ANSWERS, *SCHEDULERS, fragments_that_end, *FORGET, *POLICY, *IPV6,
    *CLIENT_ADDRESS, *VIPS, toa_begins_anew, *PROXY_V2, toa_not_forged, *SYNC, *LOCAL_OWNER, *VLANS,
]  # fmt: skip


def named() -> dict[str, Case]:
    """Cases by folder name, NNN_name."""
    return {f"{number:03}_{build.__name__}": build() for number, build in enumerate(CASES, 1)}
