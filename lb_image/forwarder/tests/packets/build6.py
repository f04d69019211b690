"""Words for cases of IPv6, beside build.py."""

from __future__ import annotations

from typing import Any, Self

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
    fragment6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from packets.build import EXTERNAL, GATEWAY_MAC, INTERNAL, MAC, TCP_FIELDS, Script, base, listener
from packets.harness import Json

GATEWAY6, ADDRESS6, LOCAL6 = "fe80::1", "2001:db8:77::b", "2001:db8:77::65"
VIP6, CLIENT6, NEIGHBOUR6 = "2001:db8:1::10", "2001:db8:c::10", "2001:db8:77::50"
BACKENDS6 = ["fd44::5", "fd44::6", "fd44::7"]
GROUP_MAC, ALL_NODES, ALL_NODES_MAC = "33:33:ff:00:00:00", "ff02::1", "33:33:00:00:00:01"


def port6(**changes: Any) -> Json:
    """The port of the one-arm base with both families."""
    return {**base()["ports"][0], "address6": f"{ADDRESS6}/64", "gateway6": GATEWAY6, **changes}


def base6(**changes: Any) -> Json:
    """One-arm base.json of both families."""
    port = changes.pop("port", {})
    return base(**{"ports": [port6(**port)], "local_addresses": ["10.77.0.101", LOCAL6], **changes})


def listener6(name: str = "web6", **changes: Any) -> Json:
    return listener(name, **{"vip": VIP6, "addresses": BACKENDS6[:2], **changes})


def dns6(**changes: Any) -> Json:
    return listener6("dns6", **{"port": 53, "protocol": "udp", **changes})


class Script6(Script):
    """Scripts of IPv6; every word ends in 6 where IPv4 has the same."""

    def neighbour(
        self, mac: str = GATEWAY_MAC, address: str = GATEWAY6, port: str = EXTERNAL, **fields: Any
    ) -> Self:
        """A neighbour says its MAC."""
        dst, hlim, option = fields.pop("dst", ADDRESS6), fields.pop("hlim", 255), fields.pop("option", True)
        message = ICMPv6ND_NA(**{"R": 0, "S": 1, "O": 1, "tgt": address, **fields})
        packet = IPv6(src=address, dst=dst, hlim=hlim) / message
        if option:
            packet /= ICMPv6NDOptDstLLAddr(lladdr=mac)
        self.send(packet, port, src=mac, dst=ALL_NODES_MAC if dst == ALL_NODES else None)
        return self

    def who_has6(self, target: str, sender: str = GATEWAY6, **fields: Any) -> Self:
        port, mac = fields.pop("on", EXTERNAL), fields.pop("mac", GATEWAY_MAC)
        hlim, option = fields.pop("hlim", 255), fields.pop("option", sender != "::")
        dst, to_mac = fields.pop("dst", group_of(target)), fields.pop("to_mac", None)
        packet = IPv6(src=sender, dst=dst, hlim=hlim) / ICMPv6ND_NS(**{"tgt": target, **fields})
        if option:
            packet /= ICMPv6NDOptSrcLLAddr(lladdr=mac)
        self.send(packet, port, src=mac, dst=to_mac or GROUP_MAC[:9] + group_tail(dst))
        return self

    def tcp6(self, flags: str, sport: int = 4000, data: bytes = b"", **fields: Any) -> Self:
        between, port, dport = (
            fields.pop(k, d) for k, d in (("between", None), ("on", EXTERNAL), ("dport", 80))
        )
        numbers = {name: fields.pop(name) for name in TCP_FIELDS & fields.keys()}
        segment = TCP(**{"sport": sport, "dport": dport, "flags": flags, "seq": 1000, "ack": 0, **numbers})
        return self.ip6({"src": CLIENT6, "dst": VIP6, **fields}, between, segment / Raw(data), port)

    def tcp_reply6(
        self, flags: str, dport: int = 1024, backend: str = BACKENDS6[0], data: bytes = b"", **fields: Any
    ) -> Self:
        between, port = fields.pop("between", None), fields.pop("on", EXTERNAL)
        numbers = {name: fields.pop(name) for name in TCP_FIELDS & fields.keys()}
        segment = TCP(**{"sport": 8080, "dport": dport, "flags": flags, "seq": 7000, "ack": 1001, **numbers})
        return self.ip6({"src": backend, "dst": LOCAL6, **fields}, between, segment / Raw(data), port)

    def udp6(self, sport: int = 5000, data: bytes = b"query", **fields: Any) -> Self:
        checksum, dport, between = (
            fields.pop(k, d) for k, d in (("chksum", None), ("dport", 53), ("between", None))
        )
        datagram = UDP(sport=sport, dport=dport, chksum=checksum)
        return self.ip6({"src": CLIENT6, "dst": VIP6, **fields}, between, datagram / Raw(data))

    def udp_reply6(
        self, dport: int = 1024, backend: str = BACKENDS6[0], data: bytes = b"answer", **fields: Any
    ) -> Self:
        checksum, between = fields.pop("chksum", None), fields.pop("between", None)
        datagram = UDP(sport=8080, dport=dport, chksum=checksum)
        return self.ip6({"src": backend, "dst": LOCAL6, **fields}, between, datagram / Raw(data))

    def ip6(self, header: Json, between: Packet | None, l4: Packet, port: str = EXTERNAL) -> Self:
        head = IPv6(**{"hlim": 60, **header})
        self.send(head / between / l4 if between else head / l4, port)
        return self

    def ping6(self, target: str, **fields: Any) -> Self:
        kind, code, checksum = (fields.pop(k, d) for k, d in (("kind", 128), ("code", 0), ("chksum", None)))
        between = fields.pop("between", None)
        echo = ICMPv6EchoRequest(type=kind, code=code, id=7, seq=1, data=b"ping", cksum=checksum)
        return self.ip6({"src": CLIENT6, "dst": target, **fields}, between, echo)

    def error6(self, about: Packet | bytes, kind: int = 1, code: int = 0, **fields: Any) -> Self:
        """ICMPv6 error about a packet of the forwarder's; ``src`` and ``dst`` are the error's own."""
        mtu, flip, port = fields.pop("mtu", 0), fields.pop("flip", 0), fields.pop("on", EXTERNAL)
        body = Raw(bytes([kind, code, 0, 0]) + mtu.to_bytes(4, "big") + bytes(about))
        packet = bytearray(bytes(IPv6(**{"hlim": 60, "nh": 58, **fields}) / body))
        (packet[42], packet[43]) = checksum6(bytes(packet), flip)
        self.raw(bytes(Ether(src=GATEWAY_MAC, dst=MAC[port], type=0x86DD)) + bytes(packet), port)
        return self

    def handshake6(self, sport: int = 4000, local_port: int = 1024, backend: str = BACKENDS6[0]) -> Self:
        return self.tcp6("S", sport).tcp_reply6("SA", local_port, backend).tcp6("A", sport)

    def pieces6_of(self, identification: int = 7) -> list[bytes]:
        """The last frame in fragments of 400 bytes."""
        frame = Ether(self.frames[-1].data)
        packet = frame[IPv6]
        header = IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim)
        whole = header / IPv6ExtHdrFragment(id=identification) / packet.payload
        return [bytes(Ether(src=frame.src, dst=frame.dst) / part) for part in fragment6(whole, 400)]

    def pieces6(self, other: Script6, identification: int = 7) -> Self:
        for piece in other.pieces6_of(identification):
            self.raw(piece)
        return self


def checksum6(packet: bytes, flip: int) -> bytes:
    """ICMPv6 checksum of what follows 40 bytes of header, changed by ``flip``."""
    covered = packet[8:40] + len(packet[40:]).to_bytes(4, "big") + b"\0\0\0\x3a" + packet[40:]
    covered += b"\0" * (len(covered) % 2)
    total = sum(int.from_bytes(covered[at : at + 2], "big") for at in range(0, len(covered), 2))
    return ((0xFFFF - total % 0xFFFF) ^ flip).to_bytes(2, "big")


def group_of(address: str) -> str:
    """The solicited-node group."""
    return (
        "ff02::1:ff"
        + group_tail(address).replace(":", "")[:2]
        + ":"
        + group_tail(address)[3:].replace(":", "")
    )


def group_tail(address: str) -> str:
    """The last three bytes of an address, as a MAC has them."""
    tail = bytes(IPv6(dst=address))[-3:]
    return ":".join(f"{byte:02x}" for byte in tail)


def to_backend6(l4: Packet, backend: str = BACKENDS6[0], **fields: Any) -> Packet:
    """A packet as the forwarder sends it to a backend, for errors about it."""
    return IPv6(src=LOCAL6, dst=backend, hlim=3, **fields) / l4


def to_client6(l4: Packet, **fields: Any) -> Packet:
    return IPv6(src=VIP6, dst=CLIENT6, hlim=3, **fields) / l4


def two_arm6() -> Json:
    """Clients on the first network, backends and the local address on the second; IPv6 only."""
    first = {k: v for k, v in port6().items() if k not in ("address", "gateway")}
    second = {
        **first, "name": INTERNAL, "interface": "net2", "address6": "2001:db8:88::b/64", "gateway6": "2001:db8:88::1",
    }  # fmt: skip
    return base(ports=[first, second], local_addresses=["2001:db8:88::65"])


def up6() -> Script6:
    """A script that starts with the gateway's MAC known."""
    return Script6().neighbour()
