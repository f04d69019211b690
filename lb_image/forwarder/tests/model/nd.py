"""Neighbour discovery (RFC 4861) in the reference model."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from model import wire
from model.state import Port
from model.wire import MalformedError
from model.wire6 import ADVERTISEMENT, ICMP6, SOLICITATION, Datagram6, fresh

if TYPE_CHECKING:
    from model.fullnat import Model

UNSPECIFIED, ALL_NODES = IPv6Address("::"), IPv6Address("ff02::1")
SOLICITED, OVERRIDE = 0x40000000, 0x20000000
SOURCE_OPTION, TARGET_OPTION = 1, 2


def is_nd(datagram: Datagram6) -> bool:
    return len(datagram.payload) >= 8 and datagram.payload[0] in (SOLICITATION, ADVERTISEMENT)


def group_of(address: IPv6Address) -> IPv6Address:
    """The solicited-node group (RFC 4291, section 2.7.1)."""
    return IPv6Address(IPv6Address("ff02::1:ff00:0").packed[:13] + address.packed[13:])


def group_mac(address: IPv6Address) -> bytes:
    """RFC 2464, section 7."""
    return b"\x33\x33" + address.packed[12:]


def option(kind: int, mac: bytes) -> bytes:
    return bytes([kind, 1]) + mac


def frame_of(mac: bytes, to_mac: bytes, packet: bytes) -> bytes:
    return to_mac + mac + b"\x86\xdd" + packet


def solicitation(port: Port, sender: IPv6Address, target: IPv6Address) -> bytes:
    """Who has ``target``? Or, where both are the same, an unsolicited advertisement: here it is."""
    if sender == target:
        return advertisement(port, target, ALL_NODES, group_mac(ALL_NODES), OVERRIDE)
    body = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + target.packed + option(SOURCE_OPTION, port.mac)
    group = group_of(target)
    return frame_of(port.mac, group_mac(group), fresh(sender, group, ICMP6, body, 2, 255))


def probe(port: Port, target: IPv6Address) -> bytes:
    """Has anybody this address? (RFC 4862, section 5.4.2)"""
    body = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + target.packed
    group = group_of(target)
    return frame_of(port.mac, group_mac(group), fresh(UNSPECIFIED, group, ICMP6, body, 2, 255))


def advertisement(port: Port, target: IPv6Address, to: IPv6Address, to_mac: bytes, flags: int) -> bytes:
    body = struct.pack("!BBHI", ADVERTISEMENT, 0, 0, flags) + target.packed + option(TARGET_OPTION, port.mac)
    return frame_of(port.mac, to_mac, fresh(target, to, ICMP6, body, 2, 255))


def link_address(options: bytes, kind: int) -> bytes | None:
    """The MAC in the last option of this kind. Raises MalformedError for options that are none."""
    found = None
    while options:
        if len(options) < 2 or options[1] == 0 or options[1] * 8 > len(options):
            raise MalformedError("bad_nd")
        if options[:2] == bytes([kind, 1]):
            found = options[2:8]
        options = options[options[1] * 8 :]
    if found and found[0] & 1:
        raise MalformedError("bad_nd")
    return found


def checked(datagram: Datagram6) -> tuple[IPv6Address, bytes | None]:
    """Target and MAC of a message that RFC 4861, sections 7.1.1 and 7.1.2, lets pass."""
    if wire.ones_sum(datagram.icmp_pseudo_header() + datagram.payload):
        raise MalformedError("bad_icmp_checksum")
    body = datagram.payload
    source, destination = datagram.source, datagram.destination
    assert isinstance(source, IPv6Address)
    assert isinstance(destination, IPv6Address)
    if datagram.ttl != 255 or len(datagram.header) != 40 or body[1] != 0 or len(body) < 24:
        raise MalformedError("bad_nd")
    target = IPv6Address(body[8:24])
    if target.is_multicast or source.is_multicast:
        raise MalformedError("bad_nd")
    asks = body[0] == SOLICITATION
    mac = link_address(body[24:], SOURCE_OPTION if asks else TARGET_OPTION)
    probes = asks and source == UNSPECIFIED
    if probes and (mac or destination != group_of(destination)):
        raise MalformedError("bad_nd")
    if not asks and destination.is_multicast and body[4] & 0x40:
        raise MalformedError("bad_nd")
    return target, mac


def nd(model: Model, port: Port, frame: bytes, datagram: Datagram6) -> tuple[int, bytes] | None:
    """Learn from the message; answer a question about an address of ours."""
    target, mac = checked(datagram)
    asks = datagram.payload[0] == SOLICITATION
    (flags,) = struct.unpack_from("!I", datagram.payload, 4)
    about = datagram.source if asks else target
    entry = model.neighbours.get((port.index, about)) if mac else None
    if entry and mac:
        if asks:
            flags = OVERRIDE
        entry.hear(mac, model.now_s, solicited=bool(flags & SOLICITED), override=bool(flags & OVERRIDE))
    probes = datagram.source == UNSPECIFIED
    claimed = datagram.source if asks and not probes else target
    claims = model.hear_claim(port, claimed, mac or frame[6:12], probes=asks and probes)
    if asks and model.answers_for(port, target):
        if datagram.source == UNSPECIFIED:
            return port.index, advertisement(port, target, ALL_NODES, group_mac(ALL_NODES), OVERRIDE)
        assert isinstance(datagram.source, IPv6Address)
        to_mac = mac or frame[6:12]
        return port.index, advertisement(port, target, datagram.source, to_mac, OVERRIDE | SOLICITED)
    if not entry and not claims:
        raise MalformedError("bad_nd")
    return None
