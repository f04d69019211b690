"""VLAN tags (IEEE 802.1Q) in the reference model."""

from __future__ import annotations

import struct

from model.wire import MalformedError

TAG, SERVICE_TAG = 0x8100, 0x88A8
TAG_SIZE, SHORTEST = 4, 60


def type_at(frame: bytes, at: int) -> int:
    (value,) = struct.unpack_from("!H", frame, at)
    return int(value)


def untagged(vlan: int, frame: bytes) -> bytes:
    """The frame without the tag of a port in ``vlan``, 0 for none; a tag of id 0 is none (IEEE 802.1Q, section 6.9)."""
    if len(frame) < 14:
        raise MalformedError("truncated")
    outer = type_at(frame, 12)
    if outer not in (TAG, SERVICE_TAG):
        if vlan:
            raise MalformedError("no_vlan_tag")
        return frame
    if len(frame) < 18:
        raise MalformedError("truncated")
    found = type_at(frame, 14) & 4095
    if outer == SERVICE_TAG or found not in (0, vlan):
        raise MalformedError("other_vlan")
    if found != vlan:
        raise MalformedError("no_vlan_tag")
    if type_at(frame, 16) in (TAG, SERVICE_TAG):
        raise MalformedError("double_vlan_tag")
    bare = frame[:12] + frame[16:]
    return bare if vlan else bare.ljust(SHORTEST, b"\0")


def tagged(vlan: int, frame: bytes) -> bytes:
    return frame[:12] + struct.pack("!HH", TAG, vlan) + frame[12:] if vlan else frame


def parted(frame: bytes) -> tuple[bytes, bytes]:
    """The tag of a frame, or nothing, and the frame without it."""
    if frame[12:14] == b"\x81\0":
        return frame[12:16], frame[:12] + frame[16:]
    return b"", frame
