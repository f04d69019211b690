"""Ownership of VIPs in the reference model: probing, owning, defending, giving way (RFC 5227, RFC 4862).

Time is in milliseconds from the first frame. The configuration grants a VIP; what happens to it then is decided when `visit` is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from model.state import Port
from model.wire import Address

PROBES, PROBE_EVERY_MS = 3, 100
PAUSE_MS, DEFEND_ONCE_IN_MS = 1000, 10_000
EARLY_ANNOUNCEMENTS, EARLY_EVERY_MS, LATER_EVERY_MS = 3, 1000, 10_000


class Say(Enum):
    PROBE = "has anybody this address?"
    HERE = "it is here"


@dataclass
class Grant:
    """Of one VIP, for as long as it lasts without a break."""

    due_ms: int | None = None  # None: at once
    owned: bool = False
    said: int = 0  # probes, or announcements
    defended_ms: int | None = None
    claimant: bytes | None = None  # heard since the last visit
    begun: bool = False  # what came before the first visit is not heeded: the probes find it out

    def visit(self, now_ms: int) -> Say | None:
        claimant, self.claimant = self.claimant if self.begun else None, None
        self.begun = True
        if claimant and self.owned and not self.tired(now_ms):
            self.defended_ms = now_ms
            return self.announce(now_ms)
        if claimant:
            self.owned, self.said, self.due_ms = False, 0, now_ms + PAUSE_MS
            return None
        if self.due_ms is not None and now_ms < self.due_ms:
            return None
        if not self.owned and self.said < PROBES:
            self.said += 1
            self.due_ms = now_ms + PROBE_EVERY_MS
            return Say.PROBE
        if not self.owned:
            self.owned, self.said, self.defended_ms = True, 0, None
        return self.announce(now_ms)

    def announce(self, now_ms: int) -> Say:
        self.said += 1
        self.due_ms = now_ms + (EARLY_EVERY_MS if self.said < EARLY_ANNOUNCEMENTS else LATER_EVERY_MS)
        return Say.HERE

    def renew(self) -> None:
        """An owner announces the address as at the start."""
        if self.owned:
            self.said, self.due_ms = 0, None

    def tired(self, now_ms: int) -> bool:
        return self.defended_ms is not None and now_ms - self.defended_ms < DEFEND_ONCE_IN_MS

    def hear(self, ours: bytes, mac: bytes, *, probes: bool) -> bool:
        """Somebody else has, or would like to have, the address; our MAC on its segment. True when it matters."""
        if probes and (self.owned or ours < mac):
            return False
        self.claimant = mac
        return True


class Vips:
    """All VIPs that are granted. They live on the first network."""

    def __init__(self, ports: list[Port]) -> None:
        self.ours = [port.mac for port in ports]
        self.grants: dict[Address, Grant] = {}

    def load(self, granted: Iterable[Address]) -> None:
        self.grants = {vip: self.grants.get(vip) or Grant() for vip in granted}

    def visit(self, now_ms: int) -> list[tuple[Address, Say]]:
        said = [(vip, grant.visit(now_ms)) for vip, grant in self.grants.items()]
        return [(vip, word) for vip, word in said if word]

    def hear(self, port: Port, address: Address, mac: bytes, *, probes: bool) -> bool:
        """Somebody has, or would like to have, the address. True when it matters."""
        grant = self.grants.get(address)
        if port.index != 0 or not grant or mac in self.ours:
            return False
        return grant.hear(port.mac, mac, probes=probes)

    def owned(self, address: Address) -> bool:
        return address in self.grants and self.grants[address].owned
