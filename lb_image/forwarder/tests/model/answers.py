"""ICMP in the reference model, and what the sender of a dropped packet is told."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from model import wire
from model.state import Port
from model.wire import ICMP, Datagram, MalformedError

if TYPE_CHECKING:
    from model.fullnat import Model

ERRORS_PER_S = 1000
ERRORS = (3, 11, 12)  # unreachable, time exceeded, parameter problem


def answer(model: Model, port: Port, frame: bytes, reason: str, *details: int) -> tuple[int, bytes] | None:
    """What the sender of a dropped packet is told."""
    if reason not in ("no_flow", "ttl_exceeded", "mtu_exceeded"):
        return None
    datagram = wire.decode_ipv4(frame[14:])
    if datagram.protocol == ICMP or datagram.offset:
        return None
    if not is_host(datagram.source):
        return None
    if reason == "no_flow":
        body = wire.reset_for(datagram) if model.resets else None
    else:
        body = icmp_error(model, datagram, reason, *details)
    if body is None:
        return None
    return port.index, (frame[6:12] + port.mac + b"\x08\0" + body).ljust(60, b"\0")


def is_host(address: int) -> bool:
    """RFC 1122, section 3.2.1.3: what may be the source of a datagram, and so be answered."""
    return (address >> 24) not in (0, 127) and address >> 24 < 224


def icmp_error(model: Model, datagram: Datagram, reason: str, *mtu: int) -> bytes | None:
    """RFC 792, RFC 1191; RFC 1812 for what is quoted and how often."""
    needs_df = reason == "mtu_exceeded" and not datagram.header[6] & 0x40
    if needs_df or model.errors[model.now_s] >= ERRORS_PER_S:
        return None
    model.errors[model.now_s] += 1
    quoted = (datagram.header + datagram.payload)[: 576 - 28]
    head = struct.pack("!BBHHH", 3, 4, 0, 0, *mtu) if mtu else struct.pack("!BBHI", 11, 0, 0, 0)
    body = head[:2] + struct.pack("!H", wire.checksum(head + quoted)) + head[4:] + quoted
    return wire.fresh_ipv4(datagram.destination, datagram.source, ICMP, body)


def icmp(model: Model, port: Port, frame: bytes, datagram: Datagram) -> tuple[int, bytes]:
    ours = model.is_own(datagram.destination) or model.is_vip(datagram.destination)
    is_error = len(datagram.payload) >= 8 and datagram.payload[0] in ERRORS
    if not ours and not is_error:
        raise MalformedError("not_ours")
    if len(datagram.payload) < 8:
        raise MalformedError("bad_l4_header")
    if datagram.payload[:2] == b"\x08\0":
        return echo(port, frame, datagram)
    if not is_error:
        raise MalformedError("icmp_other")
    if wire.ones_sum(datagram.payload):
        raise MalformedError("bad_icmp_checksum")
    return pass_error(model, datagram, "no_flow" if ours else "not_ours")


def pass_error(model: Model, datagram: Datagram, without_flow: str) -> tuple[int, bytes]:
    """RFC 5508: to the side whose packet the error is about, as that side knows the packet."""
    quoted = wire.decode_quoted(datagram.payload[8:])
    if quoted.source != datagram.destination:
        raise MalformedError("bad_l4_header")
    ours, theirs = (quoted.source, quoted.ports[0]), (quoted.destination, quoted.ports[1])
    if quoted.source in model.locals:
        flow = model.replies.get(ours)
        if not flow or (flow.protocol, flow.backend) != (quoted.protocol, theirs):
            raise MalformedError(without_flow)
        out, sides = model.ports[0], (flow.client, flow.vip)
    else:
        found = model.flows.get((*theirs, *ours, quoted.protocol))
        if not found:
            raise MalformedError(without_flow)
        out, sides = model.local_port(found.local[0]), (found.backend, found.local)
    mac = model.way_out(out, datagram, sides[0][0])
    body = datagram.payload[:8] + wire.requoted(quoted, sides[0], sides[1])
    body = body[:2] + struct.pack("!H", wire.checksum(body[:2] + b"\0\0" + body[4:])) + body[4:]
    header = wire.ipv4_header(datagram.header, (sides[1][0], sides[0][0]), datagram.ttl - 1)
    return out.index, mac + out.mac + b"\x08\0" + header + body + datagram.trailer


def echo(port: Port, frame: bytes, datagram: Datagram) -> tuple[int, bytes]:
    error = wire.ones_sum(datagram.payload)
    body = bytearray(b"\0" + datagram.payload[1:])
    struct.pack_into("!H", body, 2, 0)
    struct.pack_into("!H", body, 2, (wire.checksum(bytes(body)) + error) % 0xFFFF)
    header = wire.ipv4_header(datagram.header, (datagram.destination, datagram.source), 64)
    return port.index, frame[6:12] + port.mac + frame[12:14] + header + bytes(body) + datagram.trailer
