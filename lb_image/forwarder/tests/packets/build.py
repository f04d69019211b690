"""Words for cases: who sends what. Frames are made by scapy, which knows nothing of the forwarder."""

from __future__ import annotations

from typing import Any, Self

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from packets.harness import Case, Frame, Json

EXTERNAL, INTERNAL = "external", "internal"
MAC = {EXTERNAL: "02:00:00:00:00:01", INTERNAL: "02:00:00:00:00:02"}
GATEWAY_MAC, NEW_GATEWAY_MAC = "02:aa:00:00:00:01", "02:aa:00:00:00:99"
GATEWAY, ADDRESS, LOCAL, VIP = "10.77.0.1", "10.77.0.11", "10.77.0.101", "198.51.100.10"
CLIENT = "192.0.2.10"
BACKENDS = ["10.244.0.5", "10.244.0.6", "10.244.0.7"]
TIMESTAMPS = [("NOP", None), ("NOP", None), ("Timestamp", (123456, 654321))]
TCP_FIELDS = {"seq", "ack", "options", "dataofs", "chksum", "urgptr"}
EPOCH_US = 1_600_000_000 * 1_000_000


def base(**changes: Any) -> Json:
    """One-arm base.json; pass fields to change them."""
    port = {
        "name": EXTERNAL, "driver": "af_packet", "interface": "net1", "resource": "skylane.dev/nic",
        "address": f"{ADDRESS}/24", "gateway": GATEWAY, "mtu": 1500,
    }  # fmt: skip
    return {
        "version": 1, "workers": 1, "poll_mode": "busy", "max_flows_per_worker": 4096,
        "ports": [port], "local_addresses": [LOCAL], **changes,
    }  # fmt: skip


def two_arm() -> Json:
    """Clients on the first network, backends and the local address on the second."""
    first = base()["ports"][0]
    second = {
        **first,
        "name": INTERNAL,
        "interface": "net2",
        "address": "10.88.0.11/24",
        "gateway": "10.88.0.1",
    }
    return base(ports=[first, second], local_addresses=["10.88.0.101"])


def listener(name: str = "web", **changes: Any) -> Json:
    """A listener of two backends; ``weights`` and ``addresses`` are short for ``backends``."""
    addresses = changes.pop("addresses", BACKENDS[:2])
    weights = changes.pop("weights", [1] * len(addresses))
    pairs = zip(addresses, weights, strict=True)
    return {
        "version": 1, "name": name, "vip": VIP, "port": 80, "protocol": "tcp", "scheduler": "rr", "arp": True,
        "timeouts": {"established_s": 900, "syn_s": 60, "fin_s": 60, "udp_s": 180},
        "backends": [{"address": a, "port": 8080, "weight": w} for a, w in pairs], **changes,
    }  # fmt: skip


class Script:
    """Collects frames; every call is a millisecond after the last one unless ``wait`` says otherwise."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.now_us = EPOCH_US

    def wait(self, seconds: float) -> Self:
        self.now_us += round(seconds * 1e6)
        return self

    def at(self, seconds: float) -> Self:
        self.now_us = EPOCH_US + round(seconds * 1e6)
        return self

    def raw(self, data: bytes, port: str = EXTERNAL) -> Self:
        self.frames.append(Frame(self.now_us, port, data))
        self.now_us += 1000
        return self

    def pieces_of(self) -> list[bytes]:
        """The last frame in fragments of 400 bytes."""
        frame = Ether(self.frames[-1].data)
        return [bytes(Ether(src=frame.src, dst=frame.dst) / part) for part in fragment(frame[IP], 400)]

    def pieces(self, other: Script) -> Self:
        """The last frame of another script in fragments."""
        for piece in other.pieces_of():
            self.raw(piece)
        return self

    def send(
        self, packet: Packet, port: str = EXTERNAL, src: str = GATEWAY_MAC, dst: str | None = None
    ) -> Self:
        return self.raw(bytes(Ether(src=src, dst=dst or MAC[port]) / packet), port)

    def gateway(self, mac: str = GATEWAY_MAC, address: str = GATEWAY, port: str = EXTERNAL) -> Self:
        """The gateway says its MAC."""
        reply = ARP(op=2, hwsrc=mac, psrc=address, hwdst=MAC[port], pdst=ADDRESS)
        return self.send(reply, port, src=mac)

    def who_has(self, target: str, sender: str = GATEWAY, port: str = EXTERNAL) -> Self:
        request = ARP(op=1, hwsrc=GATEWAY_MAC, psrc=sender, pdst=target)
        return self.send(request, port, dst="ff:ff:ff:ff:ff:ff")

    def tcp(self, flags: str, sport: int = 4000, data: bytes = b"", **fields: Any) -> Self:
        """Segment of the client."""
        port, dport = fields.pop("on", EXTERNAL), fields.pop("dport", 80)
        numbers = {name: fields.pop(name) for name in TCP_FIELDS & fields.keys()}
        segment = TCP(**{"sport": sport, "dport": dport, "flags": flags, "seq": 1000, "ack": 0, **numbers})
        return self.send(IP(**{"src": CLIENT, "dst": VIP, "ttl": 60, **fields}) / segment / Raw(data), port)

    def tcp_reply(
        self, flags: str, dport: int = 1024, backend: str = BACKENDS[0], data: bytes = b"", **fields: Any
    ) -> Self:
        """Segment of a backend."""
        port, local = fields.pop("on", EXTERNAL), fields.pop("local", LOCAL)
        numbers = {name: fields.pop(name) for name in TCP_FIELDS & fields.keys()}
        segment = TCP(**{"sport": 8080, "dport": dport, "flags": flags, "seq": 7000, "ack": 1001, **numbers})
        return self.send(
            IP(**{"src": backend, "dst": local, "ttl": 60, **fields}) / segment / Raw(data), port
        )

    def udp(self, sport: int = 5000, data: bytes = b"query", **fields: Any) -> Self:
        checksum, dport = fields.pop("chksum", None), fields.pop("dport", 53)
        datagram = UDP(sport=sport, dport=dport, chksum=checksum)
        return self.send(IP(**{"src": CLIENT, "dst": VIP, "ttl": 60, **fields}) / datagram / Raw(data))

    def udp_reply(
        self, dport: int = 1024, backend: str = BACKENDS[0], data: bytes = b"answer", **fields: Any
    ) -> Self:
        checksum = fields.pop("chksum", None)
        datagram = UDP(sport=8080, dport=dport, chksum=checksum)
        return self.send(IP(**{"src": backend, "dst": LOCAL, "ttl": 60, **fields}) / datagram / Raw(data))

    def ping(self, target: str, **fields: Any) -> Self:
        kind, checksum = fields.pop("kind", 8), fields.pop("chksum", None)
        echo = ICMP(type=kind, id=7, seq=1, chksum=checksum, ts_ori=0, ts_rx=0, ts_tx=0)
        return self.send(IP(**{"src": CLIENT, "dst": target, "ttl": 60, **fields}) / echo / Raw(b"ping"))

    def error(self, about: Packet | bytes, kind: int = 3, code: int = 1, **fields: Any) -> Self:
        """ICMP error about a packet of the forwarder's; ``src`` and ``dst`` are the error's own."""
        checksum, mtu, port = fields.pop("chksum", None), fields.pop("mtu", 0), fields.pop("on", EXTERNAL)
        head = ICMP(type=kind, code=code, nexthopmtu=mtu, chksum=checksum)
        return self.send(IP(**{"ttl": 60, **fields}) / head / Raw(bytes(about)), port)

    def handshake(self, sport: int = 4000, local_port: int = 1024, backend: str = BACKENDS[0]) -> Self:
        return self.tcp("S", sport).tcp_reply("SA", local_port, backend).tcp("A", sport)


def to_backend(l4: Packet, backend: str = BACKENDS[0], **fields: Any) -> Packet:
    """A packet as the forwarder sends it to a backend, for errors about it."""
    return IP(src=LOCAL, dst=backend, ttl=3, **fields) / l4


def to_client(l4: Packet, **fields: Any) -> Packet:
    """A packet as the forwarder sends it to the client."""
    return IP(src=VIP, dst=CLIENT, ttl=3, **fields) / l4


def dns(**changes: Any) -> Json:
    """A UDP listener."""
    return listener("dns", port=53, protocol="udp", **changes)


def case(about: str | None, script: Script, *listeners: Json, **rest: Any) -> Case:
    """``rest``: base, switches, cold."""
    return Case(
        about or "",
        rest.get("base") or base(),
        list(listeners) or [listener()],
        script.frames,
        rest.get("switches", []),
        rest.get("cold", False),
    )


def up() -> Script:
    """A script that starts with the gateway's MAC known."""
    return Script().gateway()
