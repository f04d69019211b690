"""Cases of ports with a VLAN, and of tags on ports without one."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP

from packets.build import (
    BACKENDS,
    CLIENT,
    EXTERNAL,
    INTERNAL,
    LOCAL,
    VIP,
    Script,
    base,
    case,
    dns,
    listener,
    to_backend,
    two_arm,
    up,
)
from packets.build6 import ADDRESS6, LOCAL6, VIP6, Script6, base6, dns6, listener6, up6
from packets.harness import Case, Json
from packets.vlans import SERVICE_TAG, VLAN, in_vlans, tagged, with_vlan


def one_arm() -> Json:
    return base(ports=[with_vlan(base()["ports"][0])])


def in_vlan(script: Script) -> Script:
    script.frames = in_vlans(script.frames, **{EXTERNAL: VLAN})
    return script


def vlan_connection() -> Case:
    """A port with a VLAN: TCP from SYN to FIN, all of it tagged; the priority that a frame came with ends here."""
    script = up().handshake().tcp("PA", data=b"GET /").tcp_reply("A", data=b"x" * 1460)
    script.tcp("FA").tcp_reply("FA").tcp("A")
    sent = in_vlan(script)
    sent.raw(tagged(up().tcp("S", 4001).frames[-1].data, priority=5))
    return case(vlan_connection.__doc__, sent, base=one_arm())


def vlan_others_dropped() -> Case:
    """Without a tag, with a priority only, of another VLAN or a provider's, with a second tag, cut off behind the tag."""
    script = in_vlan(up())
    data = Script().tcp("S").frames[-1].data
    for bad in (
        data, tagged(data, 0), tagged(data, 0, 6), tagged(data, VLAN + 1), tagged(data, 4095), tagged(data, 1),
        tagged(data, kind=SERVICE_TAG), tagged(tagged(data)), tagged(tagged(data, 7)),
        tagged(tagged(data, kind=SERVICE_TAG)), tagged(tagged(data), 7), tagged(data)[:17], tagged(data)[:14],
        data[:13], tagged(data)[:40], Script().who_has(VIP).frames[-1].data,
    ):  # fmt: skip
        script.raw(bad)
    return case(vlan_others_dropped.__doc__, script.raw(tagged(data)), base=one_arm())


def priority_tag_without_vlan() -> Case:
    """A port without a VLAN: a tag that gives a priority only is as good as none, and the answer has none; others are dropped."""
    script = up()
    data, asks = Script().tcp("S").frames[-1].data, Script().who_has(VIP).frames[-1].data
    for one in (
        tagged(data, 0), tagged(asks, 0, 7), tagged(Script().ping(VIP).frames[-1].data, 0), tagged(data),
        tagged(data, kind=SERVICE_TAG), tagged(data, 0, kind=SERVICE_TAG), tagged(tagged(data, 0), 0),
        tagged(tagged(data), 0), tagged(data, 0)[:17], tagged(data, 0)[:40],
    ):  # fmt: skip
        script.raw(one)
    script.tcp_reply("SA")
    return case(priority_tag_without_vlan.__doc__, script)


def vlan_answers() -> Case:
    """ARP, echo, RST, ICMP errors of ours and of others, fragments: all of it in the VLAN; VIPs are probed for and announced there."""
    script = up().wait(0.5)
    script.who_has(VIP).who_has(LOCAL).ping(VIP).ping(LOCAL).tcp("PA", 4009, b"stray").wait(0.1)
    script.handshake().tcp("A", ttl=1).udp(data=b"x" * 1600, flags="DF")
    script.error(to_backend(TCP(sport=1024, dport=8080)), 3, 4, mtu=1400, src=BACKENDS[0], dst=LOCAL)
    script.error(IP(src=VIP, dst=CLIENT) / TCP(sport=80, dport=4000), 11, 0, src="203.0.113.9", dst=VIP)
    script.pieces(Script().udp(5000, b"f" * 1000, id=7)).udp_reply(1024)
    script.ping(VIP, kind=13)
    script.wait(40).tcp("S", 4001)
    return case(vlan_answers.__doc__, in_vlan(script), listener(), dns(), base=one_arm(), cold=True)


def vlan_of_one_port() -> Case:
    """Clients tagged, backends not: tags come and go with the port, and a frame is not too short without one."""
    ports = two_arm()["ports"]
    script = up().gateway("02:cc:00:00:00:01", "10.88.0.1", INTERNAL).tcp("S")
    script.tcp_reply("SA", local="10.88.0.101", on=INTERNAL).tcp("A")
    script.who_has("10.88.0.101", port=INTERNAL).who_has("10.88.0.101").who_has(VIP)
    script.frames = in_vlans(script.frames, external=VLAN)
    script.raw(tagged(Script().tcp_reply("A", local="10.88.0.101").frames[-1].data), INTERNAL)
    mixed = {**two_arm(), "ports": [with_vlan(ports[0]), ports[1]]}
    return case(vlan_of_one_port.__doc__, script, base=mixed)


def vlan_of_each_port() -> Case:
    """Two ports in VLANs of their own, as on one trunk; a frame of the other port's VLAN is not taken."""
    ports = two_arm()["ports"]
    script = up().gateway("02:cc:00:00:00:01", "10.88.0.1", INTERNAL).tcp("S")
    script.tcp_reply("SA", local="10.88.0.101", on=INTERNAL).tcp("A")
    script.frames = in_vlans(script.frames, external=VLAN, internal=4094)
    script.raw(tagged(Script().tcp("A").frames[-1].data, 4094))
    both = {**two_arm(), "ports": [with_vlan(ports[0]), with_vlan(ports[1], 4094)]}
    return case(vlan_of_each_port.__doc__, script, base=both)


def vlan_ipv6() -> Case:
    """IPv6 in a VLAN: neighbour discovery, echo, RST, packet too big, fragments, a stray frame of each kind."""
    script = up6().wait(0.5)
    script.who_has6(VIP6).who_has6(LOCAL6).who_has6(ADDRESS6).ping6(VIP6).tcp6("PA", 4009, b"stray").wait(0.1)
    script.tcp6("S").tcp_reply6("SA").tcp6("A", data=b"x" * 1500).tcp6("A", hlim=1).udp6().udp_reply6()
    for piece in Script6().udp6(5000, b"f" * 1000).pieces6_of(7):
        script.raw(piece)
    solicits = Script6().who_has6(VIP6).frames[-1].data
    sent = in_vlan(script).raw(solicits).raw(tagged(solicits, VLAN + 1))
    port = base6(port={"vlan": VLAN})
    return case(vlan_ipv6.__doc__, sent.wait(40).raw(solicits), listener6(), dns6(), base=port, cold=True)


VLANS = [
    vlan_connection, vlan_others_dropped, priority_tag_without_vlan, vlan_answers, vlan_of_one_port, vlan_of_each_port,
    vlan_ipv6,
]  # fmt: skip
