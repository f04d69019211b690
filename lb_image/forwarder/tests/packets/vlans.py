"""Tags (IEEE 802.1Q) on the frames of scripts."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

from packets.build import EXTERNAL
from packets.harness import Case, Frame, Json

TAG, SERVICE_TAG = 0x8100, 0x88A8
VLAN = 100


def tagged(data: bytes, vlan: int = VLAN, priority: int = 0, kind: int = TAG) -> bytes:
    return data[:12] + struct.pack("!HH", kind, priority << 13 | vlan) + data[12:]


def in_vlans(frames: list[Frame], **vlans: int) -> list[Frame]:
    """The frames, tagged by port."""
    return [
        replace(frame, data=tagged(frame.data, vlans[frame.port])) if frame.port in vlans else frame
        for frame in frames
    ]


def with_vlan(port: Json, vlan: int = VLAN) -> Json:
    return {**port, "vlan": vlan}


def strayed(rng: random.Random, data: bytes) -> bytes:
    """The frame in the VLAN, or sometimes out of it."""
    kind = rng.random()
    if kind < 0.9:
        return tagged(data, priority=rng.randrange(8))
    if kind < 0.92:
        return data
    if kind < 0.94:
        return tagged(data, 0, rng.randrange(8))
    if kind < 0.96:
        return tagged(data, kind=SERVICE_TAG)
    return tagged(tagged(data), rng.choice([0, VLAN, VLAN, VLAN + 1]))


def moved_into_vlan(case: Case, rng: random.Random) -> Case:
    """The case on a port with a VLAN; some of its frames lose their way."""
    ports = [with_vlan(port) if port["name"] == EXTERNAL else port for port in case.base["ports"]]
    sent = [replace(frame, data=strayed(rng, frame.data)) for frame in case.sent]
    return replace(case, base={**case.base, "ports": ports}, sent=sent)
