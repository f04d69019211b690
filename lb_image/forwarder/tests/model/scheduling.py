"""How the reference model chooses a backend: LVS's rules, and weighted rendezvous hashing with real logarithms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv6Address
from math import gcd, log
from typing import Any

from model.wire import Address

Key = tuple[Address, int, Address, int, int]
MASK = (1 << 64) - 1
PLACES = 65536


@dataclass(eq=False)
class Backend:
    """One backend of one listener, from the generation that brings it to the one that removes it."""

    address: Address
    port: int
    weight: int
    active: int = 0
    limit: int = 0  # of open connections, 0: none


def mix(x: int) -> int:
    """The finaliser of splitmix64."""
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def hashed_address(address: IPv6Address) -> int:
    """64 bits of an IPv6 address."""
    return mix(mix(int(address) >> 64) ^ (int(address) & MASK))


def number(address: Address) -> int:
    """The 32 bits of an IPv4 address, or as many of the hash of an IPv6 one."""
    return hashed_address(address) >> 32 if isinstance(address, IPv6Address) else address


def name(backend: Backend) -> int:
    if isinstance(backend.address, IPv6Address):
        return (hashed_address(backend.address) + backend.port) & MASK
    return backend.address << 16 | backend.port


def place_of(listener: dict[str, Any], key: Key) -> int:
    """``key``: client address and port, VIP and port, protocol."""
    client, client_port, vip, vip_port = number(key[0]), key[1], number(key[2]), key[3]
    hashed = mix(client)
    if listener.get("hash_on") == "connection":
        hashed = mix(hashed ^ (vip << 32 | client_port << 16 | vip_port))
    return (hashed >> 32) % PLACES


def cost(place: int, backend: Backend) -> float:
    """The smaller, the better: an exponential draw at the rate of the weight."""
    drawn = mix(mix(name(backend)) ^ place) >> 32
    return -log((drawn + 1) / 2**32) / backend.weight


class Scheduler:
    """Choice of a backend; remembers where it stands."""

    def __init__(self) -> None:
        self.position, self.threshold = 0, 0

    def pick(self, listener: dict[str, Any], backends: list[Backend], key: Key) -> Backend | None:
        """The backend of a new flow, None when all weights are 0."""
        if not any(b.weight for b in backends):
            return None
        kind = listener["scheduler"]
        if kind in ("sh", "mh"):
            place = place_of(listener, key)
            return min((b for b in backends if b.weight), key=lambda b: cost(place, b))
        index = self.least(kind, backends) if kind in ("lc", "wlc") else self.turn(kind, backends)
        self.position = index + 1
        return backends[index]

    def pick_among(
        self, listener: dict[str, Any], backends: list[Backend], key: Key, takes: Callable[[Backend], bool]
    ) -> Backend | None:
        """When the one of ``pick`` is full: the next draw, or the fewest live flows."""
        able = [b for b in backends if b.weight and takes(b)]
        kind = listener["scheduler"]
        if not able:
            return None
        if kind in ("sh", "mh"):
            place = place_of(listener, key)
            return min(able, key=lambda b: cost(place, b))
        index = self.least("wlc" if kind in ("wrr", "wlc") else "lc", backends, takes)
        self.position = index + 1
        return backends[index]

    def least(self, kind: str, backends: list[Backend], takes: Callable[[Backend], bool] = bool) -> int:
        """lc and wlc: fewest live flows, of equals the first from the position on."""
        start = self.position if self.position < len(backends) else 0
        order = [*range(start, len(backends)), *range(start)]
        able = [i for i in order if backends[i].weight and takes(backends[i])]
        loads = {i: Fraction(backends[i].active, backends[i].weight if kind == "wlc" else 1) for i in able}
        chosen: int = min(able, key=loads.__getitem__)
        return chosen

    def turn(self, kind: str, backends: list[Backend]) -> int:
        """rr and wrr."""
        weights = [b.weight for b in backends]
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
            if weights[self.position] >= (self.threshold if kind == "wrr" else 1):
                return self.position
            self.position += 1
