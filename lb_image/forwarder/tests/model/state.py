"""What the reference model remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

from model.scheduling import Backend, Scheduler
from model.wire import Address, ip

Json = dict[str, Any]
Endpoint = tuple[Address, int]
CONFIRM_S, FORGET_S, KEEP_S = 30, 36, 120


@dataclass
class Port:
    """A port of base.json; MAC addresses are the pcap shell's."""

    index: int
    name: str
    mac: bytes
    interfaces: tuple[IPv4Interface | IPv6Interface, ...]  # one of a family at most
    gateways: tuple[Address, ...]
    mtu: int
    vlan: int = 0  # 0: none

    @property
    def own(self) -> list[Address]:
        return [ip(str(interface.ip)) for interface in self.interfaces]

    def own_like(self, address: Address) -> Address:
        """Our address of the same family."""
        return next(own for own in self.own if type(own) is type(address))

    def gateway_for(self, address: Address) -> Address | None:
        return next((one for one in self.gateways if type(one) is type(address)), None)

    def on_link(self, address: Address) -> bool:
        """IPv6: link-local addresses too, where the port has that family."""
        if isinstance(address, IPv6Address):
            networks = [one.network for one in self.interfaces if isinstance(one, IPv6Interface)]
            return any(address in network or address.is_link_local for network in networks)
        return any(
            IPv4Address(address) in one.network for one in self.interfaces if isinstance(one, IPv4Interface)
        )


@dataclass
class Neighbour:
    mac: bytes | None = None
    confirmed_s: int = 0
    used_s: int = 0

    def hear(self, mac: bytes, now_s: int, *, solicited: bool = True, override: bool = True) -> None:
        """RFC 4861, section 7.2.5; ARP is always taken at its word."""
        if self.mac and mac != self.mac and not override:
            self.confirmed_s = min(self.confirmed_s, now_s - CONFIRM_S)
            return
        if solicited:
            self.confirmed_s = now_s
        elif mac != self.mac:
            self.confirmed_s = now_s - CONFIRM_S
        self.mac = mac


@dataclass
class Flow:
    """One connection; ``ends`` tells which sides have sent FIN."""

    client: Endpoint
    vip: Endpoint
    local: Endpoint
    backend: Endpoint
    protocol: int
    owner: Backend
    scheduler: Scheduler
    timeouts: Json
    last_seen_s: int
    phase: str
    ends: set[str] = field(default_factory=set)
    timeout_s: int = 0
    tells: str = "none"  # client_address of its listener when it began
    untold: bool = False  # the backend does not have the client's address yet
    isn: int = 0  # of the client, where a PROXY header is to follow it
    alone: bool = False  # the header goes without payload
    counted: bool = False  # among the connections of its client
    hops: set[tuple[int, Address]] = field(default_factory=set)
    foreign: bool = False  # at the local address of a peer
    created_s: int = 0

    def closed(self) -> bool:
        return self.phase == "reset" or self.ends == {"client", "backend"}
