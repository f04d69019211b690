"""What the reference model remembers, and how it chooses a backend."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from math import gcd
from typing import Any

Json = dict[str, Any]


@dataclass
class Port:
    """A port of base.json; MAC addresses are the pcap shell's."""

    index: int
    name: str
    mac: bytes
    interface: ipaddress.IPv4Interface
    gateway: int
    mtu: int

    def on_link(self, address: int) -> bool:
        return ipaddress.IPv4Address(address) in self.interface.network


@dataclass
class Neighbour:
    mac: bytes | None = None
    confirmed_s: int = 0


@dataclass
class Flow:
    """One connection; ``ends`` tells which sides have sent FIN."""

    client: tuple[int, int]
    vip: tuple[int, int]
    local: tuple[int, int]
    backend: tuple[int, int]
    protocol: int
    scheduler: Scheduler
    timeouts: Json
    last_seen_s: int
    phase: str
    ends: set[str] = field(default_factory=set)
    timeout_s: int = 0

    def closed(self) -> bool:
        return self.phase == "reset" or self.ends == {"client", "backend"}


class Scheduler:
    """Choice of a backend; remembers where it stands."""

    def __init__(self) -> None:
        self.position, self.threshold = 0, 0

    def pick(self, kind: str, weights: list[int]) -> int | None:
        """Index of the next backend, None when all weights are 0."""
        if not any(weights):
            return None
        step = gcd(*weights)
        if kind == "wrr" and not 0 < self.threshold <= max(weights):
            self.threshold = max(weights)
        while True:
            if self.position >= len(weights):
                self.position = 0
                if kind == "wrr":
                    self.threshold -= step
                    if self.threshold <= 0:
                        self.threshold = max(weights)
            index = self.position
            self.position += 1
            if weights[index] >= (self.threshold if kind == "wrr" else 1):
                return index
