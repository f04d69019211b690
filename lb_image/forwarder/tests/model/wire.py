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
    offset: int = 0  # of a fragment, in units of 8 bytes
    more: bool = False  # fragments follow
    length: int = field(default=0)

    @property
    def identity(self) -> tuple[int, int, int, int]:
        """What fragments of one datagram have in common."""
        identification = struct.unpack_from("!H", self.header, 4)[0]
        return (self.source, self.destination, identification, self.protocol)


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
    fragment = struct.unpack_from("!H", header, 6)[0]
    source, destination = struct.unpack_from("!II", header, 12)
    datagram = Datagram(
        source, destination, header[9], header[8], header, body[ihl:total], body[total:], length=total
    )
    datagram.offset, datagram.more = fragment & 0x1FFF, bool(fragment & 0x2000)
    if datagram.protocol == ICMP and (datagram.offset or datagram.more):
        raise MalformedError("fragment")
    if datagram.protocol in (TCP, UDP) and datagram.offset:
        return datagram
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
    elif (
        len(payload) < 8
        or struct.unpack_from("!H", payload, 4)[0] < 8
        or (not datagram.more and struct.unpack_from("!H", payload, 4)[0] > len(payload))
    ):
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


def with_id(frame: bytes, identification: int) -> bytes:
    """The datagram in the frame under another identification."""
    ihl = (frame[14] & 15) * 4
    header = bytearray(frame[14 : 14 + ihl])
    struct.pack_into("!H", header, 4, identification)
    return frame[:14] + fresh_checksum(header) + frame[14 + ihl :]


def fresh_checksum(header: bytearray) -> bytes:
    struct.pack_into("!H", header, 10, 0)
    struct.pack_into("!H", header, 10, checksum(bytes(header)))
    return bytes(header)


def rewritten(datagram: Datagram, addresses: tuple[int, int], ports: tuple[int, int]) -> bytes:
    """The datagram with new addresses and ports and one hop less; a wrong L4 checksum is wrong by as much as before."""
    if datagram.offset:
        return ipv4_header(datagram.header, addresses, datagram.ttl - 1) + datagram.payload + datagram.trailer
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


def decode_quoted(body: bytes) -> Datagram:
    """What an ICMP error quotes: a header and at least 8 bytes, cut off anywhere behind."""
    ihl = (body[0] & 15) * 4 if body else 0
    whole = len(body) >= 20 and body[0] >> 4 == 4 and ihl >= 20 and len(body) >= ihl + 8
    if not whole or struct.unpack_from("!H", body, 6)[0] & 0x1FFF or body[9] not in (TCP, UDP):
        raise MalformedError("bad_l4_header")
    source, destination = struct.unpack_from("!II", body, 12)
    ports = struct.unpack_from("!HH", body, ihl)
    return Datagram(source, destination, body[9], body[8], body[:ihl], body[ihl:], ports=ports)


def requoted(quoted: Datagram, source: tuple[int, int], destination: tuple[int, int]) -> bytes:
    """The quoted datagram between other addresses; its checksums change by what the change adds to their sums."""
    old, new = quoted.header[12:20], struct.pack("!II", source[0], destination[0])
    header = changed_sum(quoted.header[:12] + new + quoted.header[20:], 10, old, new)
    ports = struct.pack("!HH", source[1], destination[1])
    body, at = ports + quoted.payload[4:], 16 if quoted.protocol == TCP else 6
    has_sum = len(body) >= at + 2 and (quoted.protocol == TCP or body[at : at + 2] != b"\0\0")
    if has_sum:
        body = changed_sum(body, at, old + quoted.payload[:4], new + ports)
        if quoted.protocol == UDP and body[at : at + 2] == b"\0\0":
            body = body[:at] + b"\xff\xff" + body[at + 2 :]
    return header + body


def changed_sum(data: bytes, at: int, old: bytes, new: bytes) -> bytes:
    """The checksum at ``at`` as it must be after ``old`` became ``new`` in what it covers (RFC 1624, equation 4)."""
    (had,) = struct.unpack_from("!H", data, at)
    value = (had + ones_sum(old) - ones_sum(new)) % 0xFFFF
    return data[:at] + struct.pack("!H", value) + data[at + 2 :]


def reset_for(datagram: Datagram) -> bytes | None:
    """RFC 9293, section 3.10.7.1: what a closed port answers; nothing to RST, to what is damaged and to a fragment."""
    if datagram.protocol != TCP or datagram.flags & 4 or datagram.more or checksum_error(datagram):
        return None
    sequence, acknowledgment = struct.unpack_from("!II", datagram.payload, 4)
    offset = (datagram.payload[12] >> 4) * 4
    length = len(datagram.payload) - offset + bool(datagram.flags & 2) + bool(datagram.flags & 1)
    numbers, flags = ((acknowledgment, 0), 4) if datagram.flags & 16 else ((0, sequence + length), 20)
    ports = struct.pack("!HH", datagram.ports[1], datagram.ports[0])
    numbers_bytes = struct.pack("!II", numbers[0], numbers[1] & 0xFFFFFFFF)
    segment = ports + numbers_bytes + struct.pack("!BBHHH", 0x50, flags, 0, 0, 0)
    answer = Datagram(datagram.destination, datagram.source, TCP, 64, b"", segment)
    segment = segment[:16] + struct.pack("!H", checksum(pseudo_header(answer) + segment)) + segment[18:]
    return fresh_ipv4(answer.source, answer.destination, TCP, segment)


def fresh_ipv4(source: int, destination: int, protocol: int, body: bytes) -> bytes:
    """A datagram of our own: TTL 64, DF, no identification (RFC 6864)."""
    header = struct.pack(
        "!BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0, source, destination
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def ipv4_header(header: bytes, addresses: tuple[int, int], ttl: int) -> bytes:
    """``header`` with other addresses and TTL and a fresh checksum."""
    new = bytearray(header)
    new[8] = ttl
    struct.pack_into("!II", new, 12, *addresses)
    return fresh_checksum(new)


def canonical(frame: bytes) -> bytes:
    """The frame with both zeros of a one's complement checksum written alike, for comparison."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return frame
    new = bytearray(frame)
    ihl = 14 + (frame[14] & 15) * 4
    places = [24]
    if frame[23] == ICMP and frame[ihl] in (3, 11, 12) and len(new) >= ihl + 28:
        places.append(ihl + 18)  # of the quoted header
        inner = ihl + 8 + (frame[ihl + 8] & 15) * 4
        if frame[ihl + 17] == TCP and len(new) >= inner + 18:
            places.append(inner + 16)
    if frame[23] in (TCP, ICMP):
        places.append(ihl + (16 if frame[23] == TCP else 2))
    for at in places:
        if new[at : at + 2] == b"\xff\xff":
            new[at : at + 2] = b"\0\0"
    return bytes(new)
