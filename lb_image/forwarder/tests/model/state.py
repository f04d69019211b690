"""What the reference model remembers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from model.scheduling import Backend, Scheduler

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
    used_s: int = 0


@dataclass
class Flow:
    """One connection; ``ends`` tells which sides have sent FIN."""

    client: tuple[int, int]
    vip: tuple[int, int]
    local: tuple[int, int]
    backend: tuple[int, int]
    protocol: int
    owner: Backend
    scheduler: Scheduler
    timeouts: Json
    last_seen_s: int
    phase: str
    ends: set[str] = field(default_factory=set)
    timeout_s: int = 0
    counted: bool = False  # among the connections of its client
    hops: set[tuple[int, int]] = field(default_factory=set)

    def closed(self) -> bool:
        return self.phase == "reset" or self.ends == {"client", "backend"}
