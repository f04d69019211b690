"""Frames as dictionaries, for the reference model: decoding, encoding and whole checksums (RFC 1071)."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field

BROADCAST = b"\xff" * 6
TCP, UDP, ICMP = 6, 17, 1


def ip(text: str) -> int:
    """A dotted address as a number."""
    return int(ipaddress.IPv4Address(text))


def ones_sum(data: bytes) -> int:
    """One's complement sum of 16-bit words; 0 stands for both zeros."""
    if len(data) % 2:
        data += b"\0"
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data)
    return sum(words) % 0xFFFF


def checksum(data: bytes) -> int:
    """Internet checksum of ``data`` whose checksum field holds 0."""
    return 0xFFFF - ones_sum(data)


class MalformedError(Exception):
    """The frame ends the way ``args[0]`` (a drop reason) says."""


@dataclass
class Datagram:
    """An IPv4 datagram in parts; numbers in host order, ``payload`` is what follows the IPv4 header."""

    source: int
    destination: int
    protocol: int
    ttl: int
    header: bytes
    payload: bytes
    trailer: bytes = b""
    ports: tuple[int, int] = (0, 0)
    flags: int = 0
    length: int = field(default=0)


def decode_ipv4(body: bytes) -> Datagram:
    """Check and take apart what follows the Ethernet header (RFC 791)."""
    if len(body) < 20:
        raise MalformedError("truncated")
    version, ihl = body[0] >> 4, (body[0] & 15) * 4
    total = struct.unpack_from("!H", body, 2)[0]
    if version != 4 or ihl < 20 or total < ihl:
        raise MalformedError("bad_ip_header")
    if total > len(body):
        raise MalformedError("truncated")
    header = body[:ihl]
    if ones_sum(header) != 0:
        raise MalformedError("bad_ip_checksum")
    if struct.unpack_from("!H", header, 6)[0] & 0x3FFF:
        raise MalformedError("fragment")
    source, destination = struct.unpack_from("!II", header, 12)
    datagram = Datagram(
        source, destination, header[9], header[8], header, body[ihl:total], body[total:], length=total
    )
    if datagram.protocol in (TCP, UDP):
        decode_ports(datagram)
    elif datagram.protocol != ICMP:
        raise MalformedError("unknown_protocol")
    return datagram


def decode_ports(datagram: Datagram) -> None:
    """Check the TCP (RFC 9293) or UDP (RFC 768) header and note ports and flags."""
    payload = datagram.payload
    if datagram.protocol == TCP:
        if len(payload) < 20 or not 20 <= (payload[12] >> 4) * 4 <= len(payload):
            raise MalformedError("bad_l4_header")
        datagram.flags = payload[13]
    elif len(payload) < 8 or not 8 <= struct.unpack_from("!H", payload, 4)[0] <= len(payload):
        raise MalformedError("bad_l4_header")
    datagram.ports = struct.unpack_from("!HH", payload)


def checksum_error(datagram: Datagram) -> int:
    """By how much the L4 checksum is off, 0 when it is right."""
    return ones_sum(pseudo_header(datagram) + datagram.payload)


def pseudo_header(datagram: Datagram) -> bytes:
    """RFC 9293, section 3.1."""
    return struct.pack(
        "!IIBBH", datagram.source, datagram.destination, 0, datagram.protocol, len(datagram.payload)
    )


def rewritten(datagram: Datagram, addresses: tuple[int, int], ports: tuple[int, int]) -> bytes:
    """The datagram with new addresses and ports and one hop less; a wrong L4 checksum is wrong by as much as before."""
    at = 16 if datagram.protocol == TCP else 6
    had = struct.unpack_from("!H", datagram.payload, at)[0]
    error = checksum_error(datagram)
    body = bytearray(datagram.payload)
    struct.pack_into("!HH", body, 0, *ports)
    struct.pack_into("!H", body, at, 0)
    changed = Datagram(*addresses, datagram.protocol, datagram.ttl - 1, b"", bytes(body))
    right = checksum(pseudo_header(changed) + bytes(body))
    if datagram.protocol == TCP or had != 0:
        value = (right + error) % 0xFFFF
        struct.pack_into("!H", body, at, value or 0xFFFF)
    return ipv4_header(datagram.header, addresses, datagram.ttl - 1) + bytes(body) + datagram.trailer


def ipv4_header(header: bytes, addresses: tuple[int, int], ttl: int) -> bytes:
    """``header`` with other addresses and TTL and a fresh checksum."""
    new = bytearray(header)
    new[8] = ttl
    struct.pack_into("!H", new, 10, 0)
    struct.pack_into("!II", new, 12, *addresses)
    struct.pack_into("!H", new, 10, checksum(bytes(new)))
    return bytes(new)


def canonical(frame: bytes) -> bytes:
    """The frame with both zeros of a one's complement checksum written alike, for comparison."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return frame
    new = bytearray(frame)
    ihl = 14 + (frame[14] & 15) * 4
    places = [24]
    if frame[23] in (TCP, ICMP):
        places.append(ihl + (16 if frame[23] == TCP else 2))
    for at in places:
        if new[at : at + 2] == b"\xff\xff":
            new[at : at + 2] = b"\0\0"
    return bytes(new)
