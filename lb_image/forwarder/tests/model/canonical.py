"""Frames for comparison: both zeros of a one's complement checksum written alike."""

from __future__ import annotations

import struct

from model import vlan
from model.wire import ICMP, TCP, MalformedError
from model.wire6 import ICMP6, decode_quoted, parted

IPV4_ERRORS, IPV6_ERRORS = (3, 11, 12), (1, 2, 3, 4)


def canonical(tagged_frame: bytes) -> bytes:
    """The frame with 0 for each checksum that is 0xffff, but that of UDP, where the two differ."""
    tag, frame = vlan.parted(tagged_frame)
    places: list[int] = []
    if len(frame) >= 34 and frame[12:14] == b"\x08\0":
        places = ipv4_places(frame)
    elif len(frame) >= 54 and frame[12:14] == b"\x86\xdd":
        places = ipv6_places(frame)
    new = bytearray(frame)
    for at in places:
        if new[at : at + 2] == b"\xff\xff":
            new[at : at + 2] = b"\0\0"
    return bytes(new[:12]) + tag + bytes(new[12:])


def ipv4_places(frame: bytes) -> list[int]:
    """Offsets of the checksums."""
    ihl = 14 + (frame[14] & 15) * 4
    places = [24]
    if frame[23] == ICMP and frame[ihl] in IPV4_ERRORS and len(frame) >= ihl + 28:
        places.append(ihl + 18)  # of the quoted header
        inner = ihl + 8 + (frame[ihl + 8] & 15) * 4
        if frame[ihl + 17] == TCP and len(frame) >= inner + 18:
            places.append(inner + 16)
    if frame[23] in (TCP, ICMP):
        places.append(ihl + (16 if frame[23] == TCP else 2))
    return places


def ipv6_places(frame: bytes) -> list[int]:
    """Offsets of the checksums."""
    (length,) = struct.unpack_from("!H", frame, 18)
    datagram = parted(frame[14 : 54 + length])
    at = 14 + len(datagram.header)
    if datagram.offset or datagram.protocol not in (TCP, ICMP6):
        return []
    if datagram.protocol == TCP:
        return [at + 16]
    places = [at + 2]
    if datagram.payload[0] in IPV6_ERRORS:
        try:
            quoted = decode_quoted(datagram.payload[8:])
        except MalformedError:
            return places
        if quoted.protocol == TCP and len(quoted.payload) >= 18:
            places.append(at + 8 + len(quoted.header) + 16)
    return places
