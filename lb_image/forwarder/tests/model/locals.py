"""Ownership of local addresses in the reference model, while pods sync: which of them are granted to this pod, by what the peers say."""

from __future__ import annotations

from model.state import Json, Port
from model.sync import COMPLETE, LEAVING, SUSPECT_MS, Sync
from model.vips import Grant, Say
from model.wire import Address, ip

SETTLE_MS = 100


class Locals:
    """The local addresses of all pods, and those that are granted."""

    def __init__(self, base: Json, sync: Sync, ports: list[Port]) -> None:
        self.sync = sync
        self.ours = [port.mac for port in ports]
        self.own: int = base["sync"]["ordinal"]
        self.ranges = {self.own: [ip(a) for a in base["local_addresses"]]}
        self.ranges |= {
            one["ordinal"]: [ip(a) for a in one["local_addresses"]] for one in base["sync"]["peers"]
        }
        self.grants: dict[Address, Grant] = {}
        self.serving: set[int] = set()
        self.settled_ms = 0

    def serve(self, now_ms: int) -> set[int]:
        """Ordinals of the pods that are there, have all flows and stay."""
        alive = {o: peer for o, peer in self.sync.peers.items() if peer.is_alive(now_ms, SUSPECT_MS)}
        serving = {o for o, peer in alive.items() if peer.flags & COMPLETE and not peer.flags & LEAVING}
        if not self.sync.complete:
            self.settled_ms = now_ms + SETTLE_MS
        return serving | {self.own} if now_ms >= self.settled_ms else serving

    def visit(self, now_ms: int) -> list[tuple[Address, Say]]:
        """Probes and announcements that are due."""
        before, self.serving = self.serving, self.serve(now_ms)
        granted = [a for o, addresses in self.ranges.items() if self.is_granted(o) for a in addresses]
        self.grants = {a: self.grants.get(a) or Grant() for a in granted}
        if self.serving - before:
            for grant in self.grants.values():
                grant.renew()
        said = [(address, grant.visit(now_ms)) for address, grant in self.grants.items()]
        return [(address, word) for address, word in said if word]

    def is_granted(self, ordinal: int) -> bool:
        """To the pod itself, else to the next one that serves, the lowest after the highest."""
        next_one = min(self.serving, key=lambda other: (other < ordinal, other), default=None)
        return next_one == self.own

    def hear(self, port: Port, address: Address, mac: bytes, *, probes: bool) -> bool:
        """Somebody else has, or would like to have, the address. True when it matters."""
        grant = self.grants.get(address)
        if not grant or mac in self.ours:
            return False
        return grant.hear(port.mac, mac, probes=probes)

    def owned(self, address: Address) -> bool:
        return address in self.grants and self.grants[address].owned
