"""Ports, own addresses and neighbours of the reference model."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface

from model import nd, vlan, wire
from model.locals import Locals
from model.state import CONFIRM_S, FORGET_S, KEEP_S, Json, Neighbour, Port
from model.sync import Sync
from model.vips import Say, Vips
from model.wire import Address, Datagram, MalformedError, ip

ANNOUNCEMENTS = 3


@dataclass
class Announced:
    port: int
    address: Address
    rounds: int = ANNOUNCEMENTS


def port_of(index: int, port: Json) -> Port:
    """Addresses and gateways of both families, as far as the port has them."""
    kinds = ((IPv4Interface, "address"), (IPv6Interface, "address6"))
    return Port(
        index,
        port["name"],
        bytes([2, 0, 0, 0, 0, index + 1]),
        tuple(kind(port[field]) for kind, field in kinds if port.get(field)),
        tuple(ip(port[field]) for field in ("gateway", "gateway6") if port.get(field)),
        port.get("mtu", 1500),
        port.get("vlan", 0),
    )


class Links:
    """What the forwarder knows of the networks that it is on."""

    def __init__(self, base: Json) -> None:
        self.ports = [port_of(index, port) for index, port in enumerate(base["ports"])]
        self.locals = [ip(a) for a in base["local_addresses"]]
        self.neighbours = {(p.index, one): Neighbour() for p in self.ports for one in p.gateways}
        kept = [] if "sync" in base else [(self.local_port(a), a) for a in self.locals]
        own = kept + [(p, a) for p in self.ports for a in p.own]
        self.announced = {(p.index, a): Announced(p.index, a) for p, a in own}
        self.sync = Sync(base) if "sync" in base else None
        self.foreign = self.sync.foreign if self.sync else []
        self.vips = Vips(self.ports)
        self.turns = Locals(base, self.sync, self.ports) if self.sync else None
        self.now_s = -1
        self.now_ms = 0

    def look_after_vips(self) -> list[tuple[int, bytes]]:
        """Probes and announcements that are due; of local addresses too, while pods sync."""
        said = [(self.ports[0], *one) for one in self.vips.visit(self.now_ms)]
        if self.turns:
            said += [
                (self.local_port(address), address, word) for address, word in self.turns.visit(self.now_ms)
            ]
        return [(port.index, self.say(port, address, word)) for port, address, word in said]

    def say(self, port: Port, address: Address, word: Say) -> bytes:
        if word is Say.HERE:
            return self.request(port.index, address, address)
        if isinstance(address, IPv6Address):
            return vlan.tagged(port.vlan, nd.probe(port, address))
        return self.request(port.index, 0, address)

    def hear_claim(self, port: Port, address: Address, mac: bytes, *, probes: bool) -> bool:
        """Somebody has, or would like to have, a VIP or a local address. True when it matters."""
        if address not in self.locals + self.foreign:
            return self.vips.hear(port, address, mac, probes=probes)
        here = self.turns and self.local_port(address) is port
        return bool(here and self.turns and self.turns.hear(port, address, mac, probes=probes))

    def announce(self) -> list[tuple[int, bytes]]:
        """RFC 5227, section 3, RFC 4861, section 7.2.6: our own addresses, three times from the start."""
        due = [one for one in self.announced.values() if one.rounds]
        for one in due:
            one.rounds -= 1
        return [(one.port, self.request(one.port, one.address, one.address)) for one in due]

    def forget_neighbours(self, needed: set[tuple[int, Address]]) -> None:
        """Those that no flow needs, some time after they were last looked up; gateways stay."""
        kept = needed | {(p.index, one) for p in self.ports for one in p.gateways}
        for key, entry in list(self.neighbours.items()):
            if key not in kept and self.now_s - entry.used_s >= KEEP_S:
                del self.neighbours[key]

    def watch(self, address: Address) -> None:
        for port in self.ports:
            if port.on_link(address):
                self.look_up(port, address)

    def look_up(self, port: Port, address: Address) -> tuple[int, Address]:
        """The next hop, noted as used."""
        key = self.next_hop(port, address)
        self.neighbours[key].used_s = self.now_s
        return key

    def ask(self, index: int, address: Address) -> tuple[int, bytes] | None:
        entry, port = self.neighbours[index, address], self.ports[index]
        age_s = self.now_s - entry.confirmed_s
        if entry.mac and age_s >= FORGET_S:
            entry.mac = None
        if entry.mac and age_s < CONFIRM_S:
            return None
        return index, self.request(index, port.own_like(address), address)

    def request(self, index: int, sender: Address, target: Address) -> bytes:
        """ARP request (RFC 826), padded to the shortest frame; for IPv6 a neighbour solicitation."""
        mac, tag = self.ports[index].mac, self.ports[index].vlan
        if isinstance(sender, IPv6Address) and isinstance(target, IPv6Address):
            return vlan.tagged(tag, nd.solicitation(self.ports[index], sender, target))
        head = wire.BROADCAST + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
        whole = head + mac + struct.pack("!I", sender) + bytes(6) + struct.pack("!I", target)
        return vlan.tagged(tag, whole.ljust(60, b"\0"))

    def local_port(self, address: Address) -> Port:
        return next((p for p in self.ports if p.on_link(address)), self.ports[0])

    def way_out(self, port: Port, datagram: Datagram, address: Address) -> bytes:
        """MAC of the next hop of a datagram that may leave."""
        if datagram.ttl <= 1:
            raise MalformedError("ttl_exceeded")
        if datagram.length > port.mtu:
            raise MalformedError("mtu_exceeded", port.mtu)
        entry = self.neighbours[self.next_hop(port, address)]
        if not entry.mac:
            raise MalformedError("neighbour_unresolved")
        return entry.mac

    def next_hop(self, port: Port, address: Address) -> tuple[int, Address]:
        if port.on_link(address):
            self.neighbours.setdefault((port.index, address), Neighbour())
            return port.index, address
        gateway = port.gateway_for(address)
        if gateway is None:
            raise MalformedError("no_route")
        return port.index, gateway
