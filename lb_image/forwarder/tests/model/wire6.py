"""IPv6 (RFC 8200) for the reference model."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from model.wire import TCP, UDP, Address, Datagram, MalformedError, checksum, decode_ports

HOP_BY_HOP, ROUTING, FRAGMENT, ICMP6, DESTINATION = 0, 43, 44, 58, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION)
# What is looked at before a packet is given up.
EXTENSIONS_MAX, EXTENSIONS_BYTES_MAX = 8, 256
SOLICITATION, ADVERTISEMENT = 135, 136


class Datagram6(Datagram):
    """An IPv6 packet; ``header`` ends where the L4 header begins, ``fragment_at`` is where in it a fragment header stands."""

    ether_type = b"\x86\xdd"
    icmp_protocol = ICMP6
    fragment_at = 0  # 0: whole

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.source, self.destination, self.header[self.fragment_at + 4 : self.fragment_at + 8])

    def pseudo_header(self) -> bytes:
        """RFC 8200, section 8.1."""
        addresses = self.packed(self.source, self.destination)
        return addresses + struct.pack("!II", len(self.payload), self.protocol)

    def readdressed(self, source: Address, destination: Address, ttl: int) -> bytes:
        return self.header[:7] + bytes([ttl]) + self.packed(source, destination) + self.header[40:]

    def renumbered(self, sent: bytes, identification: int) -> bytes:
        at = 14 + self.fragment_at + 4
        return sent[:at] + struct.pack("!I", identification) + sent[at + 4 :]

    def answer(self, protocol: int, body: bytes, checksum_at: int) -> bytes:
        return fresh(self.destination, self.source, protocol, body, checksum_at)

    @staticmethod
    def packed(source: Address, destination: Address) -> bytes:
        assert isinstance(source, IPv6Address)
        assert isinstance(destination, IPv6Address)
        return source.packed + destination.packed

    def requoted_header(self, old: bytes, new: bytes) -> bytes:
        del old  # no checksum covers it
        return self.header[:8] + new + self.header[40:]

    def icmp_pseudo_header(self) -> bytes:
        return self.pseudo_header()


def fresh(
    source: Address, destination: Address, protocol: int, body: bytes, checksum_at: int, hops: int = 64
) -> bytes:
    """A packet of our own."""
    head = struct.pack("!IHBB", 6 << 28, len(body), protocol, hops)
    packet = Datagram6(source, destination, protocol, hops, head, body)
    value = checksum(packet.pseudo_header() + body)
    body = body[:checksum_at] + struct.pack("!H", value) + body[checksum_at + 2 :]
    return head + packet.packed(source, destination) + body


def decode_ipv6(body: bytes) -> Datagram6:
    """Check and take apart what follows the Ethernet header, but for the L4 header: see check_transport()."""
    if len(body) < 40:
        raise MalformedError("truncated")
    length = 40 + struct.unpack_from("!H", body, 4)[0]
    if body[0] >> 4 != 6:
        raise MalformedError("bad_ip_header")
    if length > len(body):
        raise MalformedError("truncated")
    datagram = parted(body[:length])
    datagram.trailer, datagram.length = body[length:], length
    return datagram


def parted(packet: bytes) -> Datagram6:
    """Follow the extension headers; what lies behind a fragment's own header is not looked at unless it is the first."""
    protocol, at, fragment_at = packet[6], 40, 0
    more, offset = False, 0
    for _ in range(EXTENSIONS_MAX):
        if protocol not in EXTENSIONS:
            break
        if at + 8 > len(packet):
            raise MalformedError("truncated")
        # RFC 5095, and what has not come to its end.
        if protocol == ROUTING and (packet[at + 2] == 0 or packet[at + 3] != 0):
            raise MalformedError("routing_header")
        size = 8
        if protocol != FRAGMENT:
            size += packet[at + 1] * 8
        elif fragment_at:
            raise MalformedError("extension_headers")
        else:
            fragment_at = at
            (word,) = struct.unpack_from("!H", packet, at + 2)
            offset, more = word >> 3, bool(word & 1)
        protocol = packet[at]
        if at + size > len(packet):
            raise MalformedError("truncated")
        at += size
        if offset:
            break
    if (protocol in EXTENSIONS and not offset) or at - 40 > EXTENSIONS_BYTES_MAX:
        raise MalformedError("extension_headers")
    addresses = (IPv6Address(packet[8:24]), IPv6Address(packet[24:40]))
    datagram = Datagram6(*addresses, protocol, packet[7], packet[:at], packet[at:])
    datagram.offset, datagram.more = offset, more
    # RFC 6946: in one piece.
    datagram.fragment_at = fragment_at if offset or more else 0
    return datagram


def check_transport(datagram: Datagram6) -> None:
    """TCP or UDP; UDP has a checksum (RFC 8200, section 8.1)."""
    if datagram.protocol not in (TCP, UDP):
        raise MalformedError("unknown_protocol")
    decode_ports(datagram)
    if datagram.protocol == UDP and datagram.payload[6:8] == b"\0\0":
        raise MalformedError("no_udp_checksum")


def decode_quoted(body: bytes) -> Datagram6:
    """What an ICMPv6 error quotes: the headers and at least 8 bytes, cut off anywhere behind."""
    if len(body) < 40 or body[0] >> 4 != 6:
        raise MalformedError("bad_l4_header")
    try:
        quoted = parted(body)
    except MalformedError as reason:
        raise MalformedError("bad_l4_header") from reason
    if quoted.offset or quoted.protocol not in (TCP, UDP) or len(quoted.payload) < 8:
        raise MalformedError("bad_l4_header")
    quoted.ports = struct.unpack_from("!HH", quoted.payload)
    return quoted
