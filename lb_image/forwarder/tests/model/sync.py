"""Session sync in the reference model: which datagrams are believed, and what their records do to flows. Layout: docs/design/session_sync.md."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from model.state import Endpoint, Json
from model.wire import UDP, Address, Datagram, MalformedError, ip

KEY = bytes(range(16))
OUR_EPOCH_US = 1_000_000_000_000  # of the pcap shell
MAGIC, VERSION = 0x534B5953, 1
HEADER = struct.Struct("!IBBBBQQQHHI")
ENDS = {4: struct.Struct("!4s4s4s4s"), 6: struct.Struct("!16s16s16s16s")}
COMMON = struct.Struct("!HHHHBBBxII")
COMPLETE, LEAVING, REQUEST, BULK, BULK_END = 2, 4, 8, 16, 32
SILENT_MS, SUSPECT_MS, LISTEN_MS, ALONE_MS, FORGOTTEN_MS = 250, 150, 300, 2000, 10_000
GRACE_S = 60
STATES = {1: "udp", 4: "established", 5: "fin", 6: "fin", 7: "reset"}
MASK = (1 << 64) - 1


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4, by the paper's words."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = (v[1] << 13 | v[1] >> 51) & MASK ^ v[0]
            v[0] = (v[0] << 32 | v[0] >> 32) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[3] = (v[3] << 16 | v[3] >> 48) & MASK ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = (v[3] << 21 | v[3] >> 43) & MASK ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = (v[1] << 17 | v[1] >> 47) & MASK ^ v[2]
            v[2] = (v[2] << 32 | v[2] >> 32) & MASK

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return int(v[0] ^ v[1] ^ v[2] ^ v[3])


def tagged(datagram: bytes) -> bytes:
    return datagram + struct.pack("<Q", siphash(KEY, datagram))


@dataclass
class Record:
    client: Endpoint
    vip: Endpoint
    local: Endpoint
    backend: Endpoint
    protocol: int
    state: int
    idle_s: int
    age_s: int


def address_of(packed: bytes) -> Address:
    return IPv6Address(packed) if len(packed) == 16 else int.from_bytes(packed, "big")


def records_of(family: int, body: bytes) -> Iterator[Record | None]:
    """None for one that no forwarder writes."""
    size = COMMON.size + ENDS[family].size
    for at in range(0, len(body), size):
        client, vip, local, backend, protocol, state, tells, idle_s, age_s = COMMON.unpack_from(body, at)
        a, b, c, d = [address_of(packed) for packed in ENDS[family].unpack_from(body, at + COMMON.size)]
        ends = ((a, client), (b, vip), (c, local), (d, backend))
        fits = state == 1 and not tells if protocol == UDP else protocol == 6 and state in (4, 5, 6, 7)
        sound = fits and tells <= 2 and idle_s <= age_s
        yield Record(*ends, protocol, state, idle_s, age_s) if sound else None


@dataclass
class Peer:
    address: Address
    epoch: int = 0
    sequence: int = 0
    heard_ms: int | None = None
    flags: int = 0
    received: int = 0
    told: bool = False

    def is_alive(self, now_ms: int, within_ms: int = SILENT_MS) -> bool:
        return self.heard_ms is not None and now_ms - self.heard_ms < within_ms


class Sync:
    """What a pod knows of its peers; the model asks it about datagrams and whether new flows may begin."""

    def __init__(self, base: Json) -> None:
        sync = base["sync"]
        self.port = sync.get("udp_port", 5407)
        self.address = ip(base["ports"][0]["address"].partition("/")[0])
        self.peers = {one["ordinal"]: Peer(ip(one["address"])) for one in sync["peers"]}
        self.foreign = [ip(local) for one in sync["peers"] for local in one["local_addresses"]]
        self.began_ms: int | None = None
        self.complete = False

    def run(self, now_ms: int) -> bool:
        """Another look at the clock. True at the moment when the pod is complete."""
        self.began_ms = now_ms if self.began_ms is None else self.began_ms
        waited_ms = now_ms - self.began_ms
        alive = [p for p in self.peers.values() if p.is_alive(now_ms)]
        if self.complete or waited_ms < LISTEN_MS:
            return False
        self.complete = all(p.told for p in alive) if alive else waited_ms >= ALONE_MS
        return self.complete

    def is_for(self, datagram: Datagram) -> bool:
        to_us = datagram.protocol == UDP and datagram.destination == self.address
        return to_us and datagram.ports[1] == self.port

    def hear(self, datagram: Datagram, now_ms: int) -> Iterator[Record | None]:
        """The records of a datagram that is believed."""
        length = struct.unpack_from("!H", datagram.payload, 4)[0]
        body = datagram.payload[8:length]
        if len(body) < HEADER.size + 8:
            raise MalformedError("sync_malformed")
        magic, version, family, sender, flags, epoch, sequence, for_epoch, count, round_, total = (
            HEADER.unpack_from(body)
        )
        size = COMMON.size + ENDS[family].size if family in ENDS else 0
        well = (magic, version) == (MAGIC, VERSION) and family in (0, 4, 6) and (family or not count)
        if not well or len(body) != HEADER.size + count * size + 8:
            raise MalformedError("sync_malformed")
        peer = self.peers.get(sender)
        if not peer or peer.address != datagram.source or datagram.ttl != 255:
            raise MalformedError("sync_unknown_peer")
        if tagged(body[:-8]) != body:
            raise MalformedError("sync_bad_tag")
        forgotten = peer.heard_ms is not None and now_ms - peer.heard_ms >= FORGOTTEN_MS
        older = epoch < peer.epoch and not forgotten
        if not epoch or older or (epoch == peer.epoch and sequence <= peer.sequence):
            raise MalformedError("sync_replayed")
        if epoch != peer.epoch:
            peer.received, peer.told = 0, False
        peer.epoch, peer.sequence, peer.heard_ms, peer.flags = epoch, sequence, now_ms, flags
        if not self.complete and for_epoch == OUR_EPOCH_US and round_ == 1:
            peer.received += count if flags & BULK else 0
            peer.told |= bool(flags & BULK_END) and peer.received >= total
        return records_of(family, body[HEADER.size : -8]) if family else iter(())
