"""Input of the bench: pcap files of 60-byte UDP frames, by struct packing (a million in seconds)."""

import itertools
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

# Classic pcap, microseconds, LINKTYPE_ETHERNET: https://www.tcpdump.org/manpages/pcap-savefile.5.html
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
RECORD_HEADER = struct.Struct("<IIII")
ADDRESSES_AND_PORTS = struct.Struct(">IIHH")
TCP_SEGMENT = struct.Struct(">6s6sHBBHHHBBHIIHHIIBBHHH")
ADDRESSES_OFFSET = 26  # IPv4 source address in an untagged Ethernet frame
ADDRESSES6_OFFSET = 22  # the same of IPv6
PAYLOAD = bytes(range(18))
FRAME_LENGTH = 60
MICROSECONDS = 1_000_000


class Endpoint(NamedTuple):
    """One end of a flow (a tuple: a million are made). Above 32 bits the address is one of IPv6."""

    address: int
    port: int


@dataclass(frozen=True)
class Link:
    """Ethernet addresses of one hop, 6 bytes each."""

    source: bytes
    destination: bytes


def client_flows(count: int, listener: Endpoint, services: int = 1) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Yield `count` distinct (client, listener) pairs: 64 flows for each client of 100.64.0.0/10, or of 2001:db8:c::/64.

    They go round over `services` listeners at consecutive ports.
    """
    base = int(IPv6Address("2001:db8:c::1") if is_ipv6(listener) else IPv4Address("100.64.0.1"))
    for index in range(count):
        client = Endpoint(base + index // 64, 20_000 + index % 64 * 7)
        yield client, Endpoint(listener.address, listener.port + index % services)


def is_ipv6(endpoint: Endpoint) -> bool:
    return endpoint.address >> 32 != 0


def folded(total: int) -> int:
    """Return the one's complement checksum of a sum of 16-bit words (RFC 1071)."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_frames(flows: Iterable[tuple[Endpoint, Endpoint]], link: Link) -> Iterator[bytes]:
    """Yield one 60-byte frame a flow: TTL 64, 18 bytes of payload, both checksums right."""
    header = struct.Struct(">6s6sHBBHHHBBHIIHHHH")
    ip_length, udp_length = 46, 26
    ip_sum = 0x4500 + ip_length + 0x4000 + 0x4011
    udp_sum = 17 + 2 * udp_length + sum(struct.unpack(">9H", PAYLOAD))
    for source, destination in flows:
        addresses = (source.address >> 16) + (source.address & 0xFFFF)
        addresses += (destination.address >> 16) + (destination.address & 0xFFFF)
        udp_checksum = folded(udp_sum + addresses + source.port + destination.port) or 0xFFFF
        yield header.pack(
            link.destination, link.source, 0x0800,
            0x45, 0, ip_length, 0, 0x4000, 64, 17, folded(ip_sum + addresses),
            source.address, destination.address,
            source.port, destination.port, udp_length, udp_checksum,
        ) + PAYLOAD  # fmt: skip


def udp6_frames(flows: Iterable[tuple[Endpoint, Endpoint]], link: Link) -> Iterator[bytes]:
    """Yield one 80-byte frame a flow, with the payload of udp_frames(): hop limit 64, checksum right."""
    for source, destination in flows:
        addresses = source.address.to_bytes(16, "big") + destination.address.to_bytes(16, "big")
        head = struct.pack(">HHH", source.port, destination.port, 26)
        body = ip6_body(addresses, socket.IPPROTO_UDP, head, PAYLOAD)
        yield link.destination + link.source + ip6_header(26, socket.IPPROTO_UDP, 64) + addresses + body


def ip6_header(length: int, protocol: int, hop_limit: int) -> bytes:
    """Return Ethernet type and IPv6 header as far as the addresses."""
    return struct.pack(">HIHBB", 0x86DD, 6 << 28, length, protocol, hop_limit)


def ip6_body(addresses: bytes, protocol: int, head: bytes, tail: bytes) -> bytes:
    """Return what follows the header, its checksum between `head` and `tail`; all lengths are even."""
    covered = addresses + struct.pack(">II", len(head) + 2 + len(tail), protocol) + head + tail
    checksum = folded(sum(struct.unpack(f">{len(covered) // 2}H", covered))) or 0xFFFF
    return head + struct.pack(">H", checksum) + tail


def advertisement(sender: IPv6Address, target: IPv6Address, link: Link) -> bytes:
    """Return the neighbour advertisement (RFC 4861) that tells `target` the Ethernet address of `sender`."""
    addresses = sender.packed + target.packed
    tail = b"\x60\0\0\0" + sender.packed + b"\2\1" + link.source
    body = ip6_body(addresses, socket.IPPROTO_ICMPV6, b"\x88\0", tail)
    return (
        link.destination + link.source + ip6_header(len(body), socket.IPPROTO_ICMPV6, 255) + addresses + body
    )


def tcp_frame(source: Endpoint, destination: Endpoint, flags: int, link: Link) -> bytes:
    """Return a 60-byte frame with a TCP segment without data: TTL 64, both checksums right."""
    addresses = (source.address >> 16) + (source.address & 0xFFFF)
    addresses += (destination.address >> 16) + (destination.address & 0xFFFF)
    tcp_sum = socket.IPPROTO_TCP + 20 + addresses + source.port + destination.port + (0x5000 | flags) + 0xFFFF
    return TCP_SEGMENT.pack(
        link.destination, link.source, 0x0800,
        0x45, 0, 40, 0, 0x4000, 64, socket.IPPROTO_TCP, folded(0x4500 + 40 + 0x4000 + 0x4006 + addresses),
        source.address, destination.address,
        source.port, destination.port, 0, 0, 0x50, flags, 0xFFFF, folded(tcp_sum), 0,
    ).ljust(FRAME_LENGTH, b"\0")  # fmt: skip


def arp_reply(sender: IPv4Address, target: IPv4Address, link: Link) -> bytes:
    """Return a padded ARP reply (RFC 826) that tells `target` the Ethernet address of `sender`."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + link.source + sender.packed + link.destination
    return (link.destination + link.source + b"\x08\x06" + body + target.packed).ljust(FRAME_LENGTH, b"\0")


def write_pcap(path: Path, frames: Iterable[bytes], times_us: Iterable[int] | None = None) -> int:
    """Write the frames and return their number; without times they are a microsecond apart, from 0."""
    written = 0
    with path.open("wb", buffering=1 << 20) as file:
        file.write(FILE_HEADER)
        for frame, time_us in zip(frames, itertools.count() if times_us is None else times_us, strict=False):
            seconds, microseconds = divmod(time_us, MICROSECONDS)
            file.write(RECORD_HEADER.pack(seconds, microseconds, len(frame), len(frame)) + frame)
            written += 1
    return written


def read_pcap(path: Path) -> Iterator[bytes]:
    """Yield the frames of a classic little-endian pcap file.

    Raises:
        ValueError: the file has another format, or is cut off.
    """
    with path.open("rb", buffering=1 << 20) as file:
        if file.read(len(FILE_HEADER))[:4] not in (FILE_HEADER[:4], b"\x4d\x3c\xb2\xa1"):
            raise ValueError(f"{path}: not a little-endian classic pcap file")
        while header := file.read(RECORD_HEADER.size):
            length = RECORD_HEADER.unpack(header)[2]
            frame = file.read(length)
            if len(frame) != length:
                raise ValueError(f"{path}: cut off within a frame")
            yield frame


def flow_of(frame: bytes) -> tuple[Endpoint, Endpoint] | None:
    """Return the (source, destination) of a TCP or UDP frame without options or extensions, None for any other frame."""
    if frame[12:14] == b"\x86\xdd" and frame[20] in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        source_port, destination_port = struct.unpack_from(">HH", frame, ADDRESSES6_OFFSET + 32)
        addresses = frame[ADDRESSES6_OFFSET : ADDRESSES6_OFFSET + 32]
        return (
            Endpoint(int.from_bytes(addresses[:16], "big"), source_port),
            Endpoint(int.from_bytes(addresses[16:], "big"), destination_port),
        )
    if frame[12:15] != b"\x08\x00\x45" or frame[23] not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return None
    source, destination, source_port, destination_port = ADDRESSES_AND_PORTS.unpack_from(
        frame, ADDRESSES_OFFSET
    )
    return Endpoint(source, source_port), Endpoint(destination, destination_port)


def replies_to(frames: Iterable[bytes]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Yield the reverse of each flow among the frames, in order of first appearance, each once."""
    seen: dict[tuple[Endpoint, Endpoint], None] = {}
    for frame in frames:
        flow = flow_of(frame)
        if flow is not None and flow not in seen:
            seen[flow] = None
            yield flow[1], flow[0]
