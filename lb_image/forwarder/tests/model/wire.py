"""Frames as dictionaries, for the reference model: decoding, encoding and whole checksums (RFC 1071)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

BROADCAST = b"\xff" * 6
TCP, UDP, ICMP = 6, 17, 1


Address = int | IPv6Address


def ip(text: str) -> Address:
    """A dotted address as a number; an IPv6 address as itself, so that the two never meet."""
    return IPv6Address(text) if ":" in text else int(IPv4Address(text))


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
    """A datagram in parts; numbers in host order, ``payload`` is what follows the header. Here of IPv4: wire6.py has the other."""

    source: Address
    destination: Address
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

    ether_type = b"\x08\0"
    icmp_protocol = ICMP

    @property
    def identity(self) -> tuple[object, ...]:
        """What fragments of one datagram have in common."""
        identification = struct.unpack_from("!H", self.header, 4)[0]
        return (self.source, self.destination, identification, self.protocol)

    def pseudo_header(self) -> bytes:
        """RFC 9293, section 3.1."""
        return struct.pack("!IIBBH", self.source, self.destination, 0, self.protocol, len(self.payload))

    def readdressed(self, source: Address, destination: Address, ttl: int) -> bytes:
        """The header with other addresses and TTL."""
        new = bytearray(self.header)
        new[8] = ttl
        struct.pack_into("!II", new, 12, source, destination)
        return fresh_checksum(new)

    def renumbered(self, sent: bytes, identification: int) -> bytes:
        """``sent``, a frame that this fragment became, under another identification."""
        ihl = (sent[14] & 15) * 4
        header = bytearray(sent[14 : 14 + ihl])
        struct.pack_into("!H", header, 4, identification & 0xFFFF)
        return sent[:14] + fresh_checksum(header) + sent[14 + ihl :]

    def answer(self, protocol: int, body: bytes, checksum_at: int) -> bytes:
        """A datagram of our own back to the sender: TTL 64, DF, no identification (RFC 6864)."""
        back = Datagram(self.destination, self.source, protocol, 64, b"", body)
        value = checksum(body) if protocol == ICMP else checksum(back.pseudo_header() + body)
        body = body[:checksum_at] + struct.pack("!H", value) + body[checksum_at + 2 :]
        header = struct.pack(
            "!BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0, back.source, back.destination
        )
        return fresh_checksum(bytearray(header)) + body

    @staticmethod
    def packed(source: Address, destination: Address) -> bytes:
        """Both addresses as they follow each other in a header."""
        return struct.pack("!II", source, destination)

    def requoted_header(self, old: bytes, new: bytes) -> bytes:
        """The header of what an error quotes, between other addresses; the rest stays, right or wrong."""
        return changed_sum(self.header[:12] + new + self.header[20:], 10, old, new)

    def icmp_pseudo_header(self) -> bytes:
        """What the checksum of ICMP covers beside the message."""
        return b""


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
    return ones_sum(datagram.pseudo_header() + datagram.payload)


def fresh_checksum(header: bytearray) -> bytes:
    struct.pack_into("!H", header, 10, 0)
    struct.pack_into("!H", header, 10, checksum(bytes(header)))
    return bytes(header)


def rewritten(datagram: Datagram, addresses: tuple[Address, Address], ports: tuple[int, int]) -> bytes:
    """The datagram with new addresses and ports and one hop less; a wrong L4 checksum is wrong by as much as before."""
    header = datagram.readdressed(*addresses, datagram.ttl - 1)
    if datagram.offset:
        return header + datagram.payload + datagram.trailer
    at = 16 if datagram.protocol == TCP else 6
    had = struct.unpack_from("!H", datagram.payload, at)[0]
    error = checksum_error(datagram)
    body = bytearray(datagram.payload)
    struct.pack_into("!HH", body, 0, *ports)
    struct.pack_into("!H", body, at, 0)
    changed = replace(datagram, source=addresses[0], destination=addresses[1], payload=bytes(body))
    right = checksum(changed.pseudo_header() + bytes(body))
    if datagram.protocol == TCP or had != 0:
        value = (right + error) % 0xFFFF
        struct.pack_into("!H", body, at, value or 0xFFFF)
    return header + bytes(body) + datagram.trailer


def decode_quoted(body: bytes) -> Datagram:
    """What an ICMP error quotes: a header and at least 8 bytes, cut off anywhere behind."""
    ihl = (body[0] & 15) * 4 if body else 0
    whole = len(body) >= 20 and body[0] >> 4 == 4 and ihl >= 20 and len(body) >= ihl + 8
    if not whole or struct.unpack_from("!H", body, 6)[0] & 0x1FFF or body[9] not in (TCP, UDP):
        raise MalformedError("bad_l4_header")
    source, destination = struct.unpack_from("!II", body, 12)
    ports = struct.unpack_from("!HH", body, ihl)
    return Datagram(source, destination, body[9], body[8], body[:ihl], body[ihl:], ports=ports)


def requoted(quoted: Datagram, source: tuple[Address, int], destination: tuple[Address, int]) -> bytes:
    """The quoted datagram between other addresses; its checksums change by what the change adds to their sums."""
    old = quoted.packed(quoted.source, quoted.destination)
    new = quoted.packed(source[0], destination[0])
    ports = struct.pack("!HH", source[1], destination[1])
    body, at = ports + quoted.payload[4:], 16 if quoted.protocol == TCP else 6
    has_sum = len(body) >= at + 2 and (quoted.protocol == TCP or body[at : at + 2] != b"\0\0")
    if has_sum:
        body = changed_sum(body, at, old + quoted.payload[:4], new + ports)
        if quoted.protocol == UDP and body[at : at + 2] == b"\0\0":
            body = body[:at] + b"\xff\xff" + body[at + 2 :]
    return quoted.requoted_header(old, new) + body


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
    return datagram.answer(TCP, segment, 16)
