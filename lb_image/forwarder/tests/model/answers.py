"""ICMP in the reference model, and what the sender of a dropped packet is told."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from model import client_address, wire, wire6
from model.state import Flow, Port
from model.wire import ICMP, Address, Datagram, MalformedError
from model.wire6 import ICMP6

if TYPE_CHECKING:
    from model.fullnat import Model

ERRORS_PER_S = 1000
# Echo request, echo reply, errors about packets (RFC 792, RFC 4443).
KINDS = {ICMP: (8, 0, (3, 11, 12)), ICMP6: (128, 129, (1, 2, 3, 4))}


def answer(model: Model, port: Port, frame: bytes, reason: str, *details: int) -> tuple[int, bytes] | None:
    """What the sender of a dropped packet is told."""
    if reason not in ("no_flow", "ttl_exceeded", "mtu_exceeded"):
        return None
    datagram = model.decode(frame)
    if datagram.protocol == datagram.icmp_protocol or datagram.offset or not is_host(datagram.source):
        return None
    if reason == "no_flow":
        body = wire.reset_for(datagram) if model.resets and may_reset(model, datagram.destination) else None
    else:
        body = icmp_error(model, datagram, reason, *details)
    if body is None:
        return None
    return port.index, (frame[6:12] + port.mac + frame[12:14] + body).ljust(60, b"\0")


def may_reset(model: Model, address: Address) -> bool:
    """Not for a local address that another pod owns: it may know the flow."""
    is_local = address in model.locals + model.foreign
    return not is_local or not model.turns or model.turns.owned(address)


def icmp_error(model: Model, datagram: Datagram, reason: str, *mtu: int) -> bytes | None:
    """RFC 792, RFC 1191, RFC 4443; RFC 1812 for what is quoted and how often."""
    ipv6 = datagram.icmp_protocol == ICMP6
    needs_df = reason == "mtu_exceeded" and not ipv6 and not datagram.header[6] & 0x40
    if needs_df or model.errors[model.now_s] >= ERRORS_PER_S:
        return None
    model.errors[model.now_s] += 1
    quoted = (datagram.header + datagram.payload)[: 1280 - 48 if ipv6 else 576 - 28]
    if ipv6:
        head = struct.pack("!BBHI", 2, 0, 0, *mtu) if mtu else struct.pack("!BBHI", 3, 0, 0, 0)
    else:
        head = struct.pack("!BBHHH", 3, 4, 0, 0, *mtu) if mtu else struct.pack("!BBHI", 11, 0, 0, 0)
    return datagram.answer(datagram.icmp_protocol, head + quoted, 2)


def is_host(address: Address) -> bool:
    """RFC 1122, section 3.2.1.3, RFC 4443, section 2.4: what may be the source of a datagram, and so be answered."""
    if isinstance(address, IPv6Address):
        return not (address.is_unspecified or address.is_loopback or address.is_multicast)
    first = address >> 24
    return first not in (0, 127) and first < 224


def icmp(model: Model, port: Port, frame: bytes, datagram: Datagram) -> tuple[int, bytes]:
    ours = model.is_own(datagram.destination) or model.is_vip(datagram.destination)
    request, _, errors = KINDS[datagram.icmp_protocol]
    is_error = len(datagram.payload) >= 8 and datagram.payload[0] in errors
    if not ours and not is_error:
        raise MalformedError("not_ours")
    if len(datagram.payload) < 8:
        raise MalformedError("bad_l4_header")
    if datagram.payload[:2] == bytes([request, 0]):
        return echo(port, frame, datagram)
    if not is_error:
        raise MalformedError("icmp_other")
    if wire.ones_sum(datagram.icmp_pseudo_header() + datagram.payload):
        raise MalformedError("bad_icmp_checksum")
    return pass_error(model, datagram, "no_flow" if ours else "not_ours")


def pass_error(model: Model, datagram: Datagram, without_flow: str) -> tuple[int, bytes]:
    """RFC 5508: to the side whose packet the error is about, as that side knows the packet."""
    decode = wire.decode_quoted if datagram.icmp_protocol == ICMP else wire6.decode_quoted
    quoted = decode(datagram.payload[8:])
    if quoted.source != datagram.destination:
        raise MalformedError("bad_l4_header")
    told: Flow | None = None
    ours, theirs = (quoted.source, quoted.ports[0]), (quoted.destination, quoted.ports[1])
    if quoted.source in model.locals:
        flow = model.replies.get(ours)
        if not flow or (flow.protocol, flow.backend) != (quoted.protocol, theirs):
            raise MalformedError(without_flow)
        out, sides = model.ports[0], (flow.client, flow.vip)
        told = flow
    else:
        found = model.flows.get((*theirs, *ours, quoted.protocol))
        if not found:
            raise MalformedError(without_flow)
        out, sides = model.local_port(found.local[0]), (found.backend, found.local)
    mac = model.way_out(out, datagram, sides[0][0])
    head, about = datagram.payload[:8], wire.requoted(quoted, sides[0], sides[1])
    if told:
        about = client_address.requoted(told, about, len(quoted.header))
        head = client_address.path_mtu(model, told, datagram)
    body = head + about
    source, destination = sides[1][0], sides[0][0]
    changed = replace(datagram, source=source, destination=destination, payload=body)
    covered = changed.icmp_pseudo_header() + body[:2] + b"\0\0" + body[4:]
    body = body[:2] + struct.pack("!H", wire.checksum(covered)) + body[4:]
    header = datagram.readdressed(source, destination, datagram.ttl - 1)
    return out.index, mac + out.mac + datagram.ether_type + header + body + datagram.trailer


def echo(port: Port, frame: bytes, datagram: Datagram) -> tuple[int, bytes]:
    pseudo = datagram.icmp_pseudo_header()
    error = wire.ones_sum(pseudo + datagram.payload)
    body = bytearray(bytes([KINDS[datagram.icmp_protocol][1]]) + datagram.payload[1:])
    struct.pack_into("!H", body, 2, 0)
    struct.pack_into("!H", body, 2, (wire.checksum(pseudo + bytes(body)) + error) % 0xFFFF)
    header = datagram.readdressed(datagram.destination, datagram.source, 64)
    return port.index, frame[6:12] + port.mac + frame[12:14] + header + bytes(body) + datagram.trailer
