"""Cases of session sync: what a pod makes of what its peers tell. The peer is ordinal 1, the pod ordinal 0."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Self

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from model.sync import BULK, BULK_END, COMMON, ENDS, HEADER, MAGIC, OUR_EPOCH_US, tagged
from packets.build import ADDRESS, BACKENDS, CLIENT, LOCAL, VIP, case, dns, listener
from packets.build6 import BACKENDS6, CLIENT6, LOCAL6, VIP6, Script6, base6, listener6
from packets.harness import Case, Json

PEER, PEER_MAC = "10.77.0.12", "02:00:00:00:02:01"
PEER_LOCAL, PEER_LOCAL6 = "10.77.0.111", "2001:db8:77::6f"
EPOCH_US = 1_700_000_000_000_000
ESTABLISHED, FIN_CLIENT, FIN_BACKEND, CLOSED = 4, 5, 6, 7
COMPLETE, TCP_NUMBER, UDP_NUMBER = 2, 6, 17


def sync_base(**changes: Any) -> Json:
    peer = {"ordinal": 1, "address": PEER, "local_addresses": [PEER_LOCAL, PEER_LOCAL6]}
    return base6(sync={"ordinal": 0, "udp_port": 5407, "key_file": "key", "peers": [peer]}, **changes)


def record(sport: int = 4000, local_port: int = 1024, **changes: Any) -> bytes:
    """Of a connection from CLIENT to the first backend over the peer's local address."""
    ends = [changes.pop(*pair) for pair in (("client", CLIENT), ("vip", VIP), ("local", PEER_LOCAL))]
    ends.append(changes.pop("backend", BACKENDS[0]))
    state, protocol = changes.pop("state", ESTABLISHED), changes.pop("protocol", TCP_NUMBER)
    times = (changes.pop("idle_s", 0), changes.pop("age_s", 10))
    ports = (sport, changes.pop("vport", 80), local_port, 8080)
    packed = [ip_address(one).packed for one in ends]
    family = 4 if len(packed[0]) == 4 else 6
    return COMMON.pack(*ports, protocol, state, changes.pop("tells", 0), *times) + ENDS[family].pack(*packed)


class SyncScript(Script6):
    """The peer's datagrams, each younger than the one before."""

    sequence = 0

    def datagram(self, *records: bytes, flags: int = COMPLETE, **changes: Any) -> bytes:
        self.sequence += 1
        family = changes.pop("family", 0 if not records else 4 if len(records[0]) == COMMON.size + 16 else 6)
        header = HEADER.pack(
            changes.pop("magic", MAGIC), changes.pop("version", 1), family, changes.pop("sender", 1), flags,
            changes.pop("epoch", EPOCH_US), changes.pop("sequence", self.sequence), changes.pop("asked", OUR_EPOCH_US),
            changes.pop("count", len(records)), 1, changes.pop("total", 0),
        )  # fmt: skip
        return tagged(header + b"".join(records))

    def peer(self, body: bytes, **fields: Any) -> Self:
        """The datagram on its way, as the peer sends it but for ``fields``."""
        udp = UDP(sport=5407, dport=fields.pop("dport", 5407), chksum=0)
        packet = IP(**{"src": PEER, "dst": ADDRESS, "ttl": 255, "flags": "DF", **fields}) / udp / Raw(body)
        self.send(packet, src=PEER_MAC)
        return self

    def tell(self, *records: bytes, **changes: Any) -> Self:
        return self.peer(self.datagram(*records, **changes))

    def told_all(self, total: int = 0) -> Self:
        return self.tell(flags=COMPLETE | BULK_END, total=total)


def joined() -> SyncScript:
    """A pod whose peer had nothing for it; both gateways are known."""
    script = SyncScript()
    script.gateway()
    script.neighbour()
    script.told_all()
    script.at(0.35)
    return script


def sync_joining() -> Case:
    """A pod that starts begins no flows, and resets none that it does not know, before the peers have told all, or nobody has been there for 2 s."""
    script = (
        SyncScript().gateway().tcp("S").tcp("A", sport=4001).tcp_reply("SA").at(1.65).tcp("S", sport=4002)
    )
    script.at(1.75).tcp("S", sport=4003).tcp("A", sport=4001)
    return case(sync_joining.__doc__, script, base=sync_base())


def sync_flow_of_a_peer() -> Case:
    """A connection that began at a peer goes on here, from the peer's local address; its reply too. Nobody counts it, nobody is answered for its address."""
    script = joined()
    script.tell(record(), record(4001, 1025, state=FIN_BACKEND)).tcp("PA", data=b"x")
    script.tcp_reply("PA", local=PEER_LOCAL, data=b"y").tcp("FA", sport=4001).tcp("S", sport=4001)
    script.tcp("S", sport=4002).tcp("S", sport=4003).who_has(PEER_LOCAL).who_has(LOCAL)
    return case(sync_flow_of_a_peer.__doc__, script, listener(max_connections=2), base=sync_base())


def sync_flow_changes() -> Case:
    """News of a flow that is known: later use, a direction's end, both; then another flow at its place. What is older than the flow is not heeded."""
    script = joined()
    script.tell(record(idle_s=5)).tell(record(state=FIN_BACKEND)).tcp("A").tcp("FA").tcp("A")
    script.tell(record(4009, state=ESTABLISHED, age_s=0)).tcp("A").tcp("A", sport=4009)
    script.wait(5).tell(record(4009, state=CLOSED, idle_s=9, age_s=20)).tcp("A", sport=4009)
    script.tell(record(4009, 1030)).tcp("A", sport=4009).tcp_reply("A", 1024, local=PEER_LOCAL)
    return case(sync_flow_changes.__doc__, script, base=sync_base())


def sync_foreign_flows_end() -> Case:
    """They outlive their timeout by a minute, since their owner knows better; a closed one too."""
    times = {"established_s": 20, "syn_s": 5, "fin_s": 5, "udp_s": 5}
    script = joined()
    script.tell(record(), record(4001, 1025, state=CLOSED))
    for moment_s in (30, 64, 66):
        script.at(moment_s).gateway().tcp("A", sport=4001, ttl=1)
    script.at(79).gateway().tcp_reply("A", local=PEER_LOCAL, ttl=1)
    script.at(81).gateway().tcp("A")
    return case(sync_foreign_flows_end.__doc__, script, listener(timeouts=times), base=sync_base())


def sync_own_flows_come_back() -> Case:
    """A pod that lost its flows gets them from the peers before it gives out their ports; one round of bulk has as many records as its end says."""
    script = SyncScript().gateway()
    own = [record(4000 + n, 1024 + n, local=LOCAL) for n in range(2)]
    script.tell(*own, flags=COMPLETE | BULK).tell(record(5000, 1024), flags=COMPLETE | BULK).told_all(3)
    script.at(0.25).told_all(3).at(0.35)
    script.tcp("A").tcp_reply("A", 1025).tcp("A", sport=5000).tcp("S", sport=6000).tcp("S", sport=4001)
    script.tell(record(4001, 1030)).tcp("A", sport=4001)
    return case(sync_own_flows_come_back.__doc__, script, base=sync_base())


def sync_records_refused() -> Case:
    """Records that no forwarder writes, of addresses or listeners that nobody has, of what is idle for too long, or of our own places."""
    script = joined()
    script.tcp("S", sport=3999)
    script.tell(
        record(4000, 1024, state=1), record(4001, 1025, local="10.77.0.112"), record(4002, 1026, vip="198.51.100.99"),
        record(4003, 1027, idle_s=960, age_s=960), record(4004, 1028, local=LOCAL), record(3999, 1029),
        record(4005, 1023), record(4006, 1030, tells=3), record(4007, 1031, idle_s=9, age_s=8),
        record(4008, 1032, idle_s=959, age_s=960),
    )  # fmt: skip
    for sport in range(3999, 4009):
        script.tcp("A", sport=sport)
    return case(sync_records_refused.__doc__, script, base=sync_base())


def sync_datagrams_refused() -> Case:
    """Another layout, another sender, from beyond the link, another key, heard before; what comes to another port is no sync."""
    script = joined()
    good = script.datagram(record())
    for body in (b"", good[:-1], good + b"x", script.datagram(version=2), script.datagram(magic=1)):
        script.peer(body)
    script.tell(family=5).tell(record(), family=0).tell(family=4, count=1)
    script.peer(good, src="10.77.0.13").peer(script.datagram(sender=2)).peer(good, ttl=254)
    script.peer(good[:50] + b"?" + good[51:]).peer(good[:-1] + bytes([good[-1] ^ 1]))
    script.peer(good, dport=5408).peer(good).peer(good).peer(script.datagram(epoch=EPOCH_US - 1))
    script.peer(script.datagram(epoch=0)).tell(epoch=EPOCH_US + 1, sequence=0)
    return case(sync_datagrams_refused.__doc__, script.tcp("A"), base=sync_base())


def sync_ipv6() -> Case:
    """IPv6 flows, and UDP, of a peer."""
    script = joined()
    six: Json = {"client": CLIENT6, "vip": VIP6, "local": PEER_LOCAL6, "backend": BACKENDS6[0]}
    script.tell(record(**six)).tell(record(5000, 1025, vport=53, protocol=UDP_NUMBER, state=1))
    script.tcp6("PA", data=b"x").tcp_reply6("PA", dst=PEER_LOCAL6, data=b"y").udp()
    script.tell(record(4000, 1029, **six)).tcp6("A").tcp_reply6("A", dst=PEER_LOCAL6).who_has6(PEER_LOCAL6)
    script.who_has6(LOCAL6)
    return case(sync_ipv6.__doc__, script, listener6(), listener(), dns(), base=sync_base())


SYNC = [
    sync_joining, sync_flow_of_a_peer, sync_flow_changes, sync_foreign_flows_end, sync_own_flows_come_back,
    sync_records_refused, sync_datagrams_refused, sync_ipv6,
]  # fmt: skip
