"""The client's address as an option of TCP, for the reference model: what toa.ko of LVS and DPVS reads.

Kind 254, length, the client's port, its address: 8 bytes of IPv4, 20 of IPv6, in front of the other options.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from model.state import Endpoint, Flow, Port
from model.wire import TCP, Datagram, checksum, checksum_error, fresh_checksum

if TYPE_CHECKING:
    from model.fullnat import Model

Sent = tuple[int, bytes]
FIN, SYN, RST, ACK = 1, 2, 4, 16
MODULUS = 1 << 32
KIND = 254
FRAME_MAX, FRAME_MIN = 1536, 60


def option(flow: Flow) -> bytes:
    address, port = flow.client
    packed = address.packed if isinstance(address, IPv6Address) else struct.pack("!I", address)
    return struct.pack("!BBH", KIND, 4 + len(packed), port) + packed


def from_backend(flow: Flow, datagram: Datagram) -> None:
    """What only a backend says that has the connection: then it has the address too. A SYN+ACK tells which SYN it is about."""
    flags, (acknowledged,) = datagram.flags, struct.unpack_from("!I", datagram.payload, 8)
    if flags & SYN:
        if flags & ACK:
            flow.isn, flow.alone, flow.untold = (acknowledged - 1) % MODULUS, flow.alone and flow.untold, True
        return
    behind = (acknowledged - flow.isn - 1) % MODULUS
    says_more = len(datagram.payload) > (datagram.payload[12] >> 4) * 4 or flags & FIN
    if not flags & RST and (says_more or (flags & ACK and 0 < behind < MODULUS // 2)):
        flow.untold = False


def from_client(model: Model, flow: Flow, datagram: Datagram, sent: Sent, out: Port) -> Sent:
    """Every segment that may end the handshake, or follow it, says it, where there is room. A SYN begins anew."""
    ends = (flow.local, flow.backend)
    at = 14 + len(datagram.header)
    segment = bytearray(sent[1][at : at + len(datagram.payload)])
    if datagram.flags & SYN:
        if not flow.untold:
            (flow.isn,) = struct.unpack_from("!I", datagram.payload, 4)
        flow.untold, flow.alone = True, False
        return without_own(datagram, sent, bytes(segment), ends)
    if not flow.untold or (datagram.flags & RST and not flow.alone):
        return sent
    if flow.alone:
        return without_own(datagram, sent, bytes(segment), ends)
    added, header = option(flow), (datagram.payload[12] >> 4) * 4
    longer = len(datagram.header) + len(datagram.payload) + len(added)
    if datagram.more or header + len(added) > 60 or longer > min(out.mtu, FRAME_MAX - 14):
        model.omitted += 1
        return remade(datagram, sent, blanked(bytes(segment)), ends)
    segment[12] += len(added) // 4 << 4
    whole = bytes(segment[:20]) + added + bytes(segment[20:])
    return remade(datagram, sent, whole, ends)


def without_own(datagram: Datagram, sent: Sent, segment: bytes, ends: tuple[Endpoint, Endpoint]) -> Sent:
    bare = blanked(segment)
    return sent if bare == segment else remade(datagram, sent, bare, ends)


def options(segment: bytes) -> Iterator[tuple[int, int]]:
    """Place and size of each option but NOP, as far as they make sense."""
    at, end = 20, (segment[12] >> 4) * 4
    while end - at >= 2 and segment[at]:
        if segment[at] == 1:
            at += 1
            continue
        if not 2 <= segment[at + 1] <= end - at:
            return
        yield at, segment[at + 1]
        at += segment[at + 1]


def blanked(segment: bytes) -> bytes:
    """Without options of the client that would be taken for ours."""
    for at, size in options(segment):
        if segment[at] == KIND:
            segment = segment[:at] + b"\1" * size + segment[at + size :]
    return segment


def remade(datagram: Datagram, sent: Sent, segment: bytes, ends: tuple[Endpoint, Endpoint]) -> Sent:
    """``sent`` with another segment, its checksum wrong by as much as the one that came; what padded it goes if its length changes."""
    head, by = sent[1][: 14 + len(datagram.header)], len(segment) - len(datagram.payload)
    if by:
        new = bytearray(head[14:])
        length_at = 4 if isinstance(datagram.source, IPv6Address) else 2
        (length,) = struct.unpack_from("!H", new, length_at)
        struct.pack_into("!H", new, length_at, length + by)
        head = head[:14] + (bytes(new) if length_at == 4 else fresh_checksum(new))
    bare = segment[:16] + b"\0\0" + segment[18:]
    changed = replace(datagram, source=ends[0][0], destination=ends[1][0], payload=bare)
    assert datagram.protocol == TCP
    # Of a first fragment the checksum covers what is not here: it goes by what changes.
    had = checksum_error(datagram)
    value = (checksum(changed.pseudo_header() + bare) + had) % 0xFFFF
    frame = head + segment[:16] + struct.pack("!H", value or 0xFFFF) + segment[18:]
    return sent[0], frame.ljust(FRAME_MIN, b"\0") if by else frame + datagram.trailer
