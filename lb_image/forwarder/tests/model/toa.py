"""The client's address as an option of TCP, for the reference model: what toa.ko of LVS and DPVS reads.

Kind 254, length, the client's port, its address: 8 bytes of IPv4, 20 of IPv6, in front of the other options.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from model.state import Endpoint, Flow, Port
from model.wire import TCP, Datagram, checksum, checksum_error, fresh_checksum

if TYPE_CHECKING:
    from model.fullnat import Model

Sent = tuple[int, bytes]
SYN, RST = 2, 4
FRAME_MAX = 1536


def option(flow: Flow) -> bytes:
    address, port = flow.client
    packed = address.packed if isinstance(address, IPv6Address) else struct.pack("!I", address)
    return struct.pack("!BBH", 254, 4 + len(packed), port) + packed


def from_client(model: Model, flow: Flow, datagram: Datagram, sent: Sent, out: Port) -> Sent:
    """Every segment that may end the handshake, or follow it, says it, where there is room."""
    if not flow.untold or datagram.flags & (SYN | RST):
        return sent
    added, header = option(flow), (datagram.payload[12] >> 4) * 4
    longer = len(datagram.header) + len(datagram.payload) + len(added)
    if datagram.more or header + len(added) > 60 or longer > min(out.mtu, FRAME_MAX - 14):
        model.omitted += 1
        return sent
    at = 14 + len(datagram.header)
    segment = bytearray(sent[1][at : at + len(datagram.payload)])
    segment[12] += len(added) // 4 << 4
    return sent[0], lengthened(
        datagram, sent[1][:at], bytes(segment[:20]) + added + bytes(segment[20:]), flow
    )


def from_backend(flow: Flow, datagram: Datagram, sent: Sent, side: Port) -> Sent:
    """A SYN+ACK says how long the client's segments may be; whatever follows it says that the backend has the address."""
    if not flow.untold:
        return sent
    if not datagram.flags & SYN:
        flow.untold = False
        return sent
    place = None if datagram.more else mss_place(datagram.payload)
    if place is None:
        return sent
    at = 14 + len(datagram.header)
    body = bytearray(sent[1][at : at + len(datagram.payload)])
    (said,) = struct.unpack_from("!H", body, place)
    headers = 60 if isinstance(flow.client[0], IPv6Address) else 40
    lower = min(said, side.mtu - headers) - len(option(flow))
    if lower <= 0:
        return sent
    struct.pack_into("!H", body, place, lower)
    return sent[0], resummed(datagram, sent[1][:at], bytes(body), flow.vip, flow.client) + datagram.trailer


def mss_place(segment: bytes) -> int | None:
    """Where in the segment the value of the option stands."""
    at, end = 20, (segment[12] >> 4) * 4
    while end - at >= 4 and segment[at]:
        if segment[at] == 1:
            at += 1
            continue
        if segment[at : at + 2] == b"\2\4":
            return at + 2
        if not 2 <= segment[at + 1] <= end - at:
            return None
        at += segment[at + 1]
    return None


def lengthened(datagram: Datagram, head: bytes, segment: bytes, flow: Flow) -> bytes:
    """Frame of the longer segment, without what padded it."""
    by = len(segment) - len(datagram.payload)
    new = bytearray(head[14:])
    length_at = 4 if isinstance(flow.client[0], IPv6Address) else 2
    (length,) = struct.unpack_from("!H", new, length_at)
    struct.pack_into("!H", new, length_at, length + by)
    whole = bytes(new) if length_at == 4 else fresh_checksum(new)
    return resummed(datagram, head[:14] + whole, segment, flow.local, flow.backend)


def resummed(
    datagram: Datagram,
    head: bytes,
    segment: bytes,
    source: Endpoint,
    destination: Endpoint,
) -> bytes:
    """With a checksum that is wrong by as much as the one that came."""
    bare = segment[:16] + b"\0\0" + segment[18:]
    changed = replace(datagram, source=source[0], destination=destination[0], payload=bare)
    assert datagram.protocol == TCP
    value = (checksum(changed.pseudo_header() + bare) + checksum_error(datagram)) % 0xFFFF
    return head + segment[:16] + struct.pack("!H", value or 0xFFFF) + segment[18:]


def path_mtu(model: Model, flow: Flow, datagram: Datagram) -> bytes:
    """The first 8 bytes of an error for the client, about a packet that may have been longer than what it sent."""
    head = datagram.payload[:8]
    ipv6 = isinstance(flow.client[0], IPv6Address)
    (mtu,) = struct.unpack_from("!I" if ipv6 else "!H", head, 4 if ipv6 else 6)
    too_big = head[0] == 2 if ipv6 else head[:2] == b"\3\4"
    if not flow.untold or not too_big or not mtu:
        return head
    lower = mtu - len(option(flow))
    if lower < (1280 if ipv6 else 68):
        flow.untold = False
        model.omitted += 1
        return head
    return head[:4] + struct.pack("!I", lower) if ipv6 else head[:6] + struct.pack("!H", lower)
