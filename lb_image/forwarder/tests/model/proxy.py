"""PROXY protocol version 2 for the reference model: a header in front of the client's first byte (proxy-protocol.txt, section 2.2).

A client that begins at X meets a backend that begins at X - n, n being the length of the header.
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from model import toa
from model.state import Flow, Port
from model.wire import Datagram, changed_sum

if TYPE_CHECKING:
    from model.fullnat import Model

Sent = tuple[int, bytes]
FIN, SYN, RST, ACK, URG = 1, 2, 4, 16, 32
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MODULUS = 1 << 32


def header(flow: Flow) -> bytes:
    (client, client_port), (vip, vip_port) = flow.client, flow.vip
    if isinstance(client, IPv6Address) and isinstance(vip, IPv6Address):
        family, addresses = 0x21, client.packed + vip.packed
    else:
        family, addresses = 0x11, struct.pack("!II", client, vip)
    body = addresses + struct.pack("!HH", client_port, vip_port)
    return SIGNATURE + struct.pack("!BBH", 0x21, family, len(body)) + body


def before(one: int, other: int) -> bool:
    """Sequence numbers (RFC 9293, section 3.4)."""
    return (one - other) % MODULUS >= MODULUS // 2


def from_client(model: Model, flow: Flow, datagram: Datagram, sent: Sent, out: Port) -> Sent:
    at = 14 + len(datagram.header)
    segment = sent[1][at : at + len(datagram.payload)]
    size, first, flags = (segment[12] >> 4) * 4, (flow.isn + 1) % MODULUS, datagram.flags
    (sequence,) = struct.unpack_from("!I", segment, 4)
    n = len(header(flow))
    if flags & RST:
        if not flow.untold or sequence != first:
            return sent
        segment = numbered(segment, first - n)
    elif flags & SYN:
        segment = segment[:size]
        if flow.untold and sequence == flow.isn:
            segment = numbered(segment, sequence - n)
        else:  # an ACK asks the same of a connection that it does not fit, and begins none
            segment = segment[:13] + bytes([ACK]) + segment[14:]
    elif not flow.untold:
        return sent
    elif before(sequence, first):
        segment = without_fin(segment[:size])
    elif sequence == first and flags & ACK:
        segment = prepended(model, flow, segment, min(out.mtu, toa.FRAME_MAX - 14) - len(datagram.header))
    else:
        return sent
    return toa.remade(datagram, sent, segment, (flow.local, flow.backend))


def prepended(model: Model, flow: Flow, segment: bytes, room: int) -> bytes:
    """The header, and as much of the payload as fits: the rest is sent again by the client, which sees it unacknowledged."""
    size, added = (segment[12] >> 4) * 4, header(flow)
    left = room - size - len(added)
    if left < 0:
        model.omitted += 1
        return without_fin(segment[:size])
    if flow.alone or len(segment) - size > left:
        segment = without_fin(segment[: size + (0 if flow.alone else left)])
    (sequence,) = struct.unpack_from("!I", segment, 4)
    segment = numbered(segment, sequence - len(added))
    if segment[13] & URG:
        (urgent,) = struct.unpack_from("!H", segment, 18)
        segment = segment[:18] + struct.pack("!H", (urgent + len(added)) & 0xFFFF) + segment[20:]
    return segment[:size] + added + segment[size:]


def numbered(segment: bytes, sequence: int) -> bytes:
    return segment[:4] + struct.pack("!I", sequence % MODULUS) + segment[8:]


def without_fin(segment: bytes) -> bytes:
    return segment[:13] + bytes([segment[13] & ~FIN]) + segment[14:]


def from_backend(flow: Flow, datagram: Datagram, sent: Sent) -> Sent:
    """What the backend acknowledges of the header is the client's SYN; its first byte says that the backend has the header."""
    if not flow.untold or not datagram.flags & ACK:
        return sent
    at = 14 + len(datagram.header)
    segment = sent[1][at : at + len(datagram.payload)]
    (acknowledged,) = struct.unpack_from("!I", segment, 8)
    first = (flow.isn + 1) % MODULUS
    if (acknowledged - first + len(header(flow))) % MODULUS < len(header(flow)):
        segment = segment[:8] + struct.pack("!I", first) + segment[12:]
        return toa.remade(datagram, sent, segment, (flow.vip, flow.client))
    if not before(acknowledged, first) and flow.phase not in ("syn", "syn_ack"):
        flow.untold = False
    return sent


def requoted(flow: Flow, quoted: bytes, at: int) -> bytes:
    """What an error quotes, with the sequence number that the client gave it; ``at``: where TCP begins."""
    (sequence,) = struct.unpack_from("!I", quoted, at + 4)
    n = len(header(flow))
    behind = (sequence - flow.isn + n) % MODULUS
    if not flow.untold or behind > n:
        return quoted
    had = struct.pack("!I", (flow.isn + (behind > 0)) % MODULUS)
    new = quoted[: at + 4] + had + quoted[at + 8 :]
    if len(quoted) >= at + 18:
        new = changed_sum(new, at + 16, quoted[at + 4 : at + 8], had)
    return new
