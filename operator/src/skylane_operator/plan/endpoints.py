"""Which endpoints stand behind a Service's port."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from skylane_operator.model.address import IPV4
from skylane_operator.model.kubernetes import READY, SERVING, TERMINATING, EndpointSlice, ServicePort

# Text, as the slices give it: parsing every address anew would be half the cost of a plan.
SocketAddress = tuple[str, int]

_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Those of a Service port: that are ready, and that terminate but still serve."""

    ready: frozenset[SocketAddress] = frozenset()
    draining: frozenset[SocketAddress] = frozenset()


@dataclass(frozen=True, slots=True)
class Resolved:
    """One Service's endpoints, and the weight that they share. `reference` is what it has the same in the next plan."""

    reference: str
    weight: int
    endpoints: Endpoints
    limit: int | None = None


def endpoints_of(slices: Iterable[EndpointSlice], port: ServicePort, version: int = IPV4) -> Endpoints:
    """Endpoints of a Service port, of one IP version: the forwarder does not translate between the two.

    Slices carry the target port already resolved, by the Service port's name: a named target port may differ from
    slice to slice. An endpoint that moves between slices is in both for a moment (KEP-752) and counts once.
    """
    ready: set[SocketAddress] = set()
    draining: set[SocketAddress] = set()
    for piece in slices:
        if piece.address_type != f"IPv{version}":
            continue
        for number in _target_ports(piece, port):
            for address, conditions in piece.endpoints:
                # Ready goes first: publishNotReadyAddresses makes that true of those that terminate, too.
                if conditions & READY:
                    found = ready
                elif conditions == SERVING | TERMINATING:
                    found = draining
                else:
                    continue
                if _version_of(address) == version:
                    found.add((address, number))
    return Endpoints(frozenset(ready), frozenset(draining - ready))


@lru_cache(maxsize=1 << 16)
def _version_of(address: str) -> int:
    """4 or 6; 0 for no address.

    Not every writer of a slice is Kubernetes' own: an octet with leading zeros, say, passes its validation.
    """
    try:
        return ip_address(address).version
    except ValueError:
        return 0


def _target_ports(piece: EndpointSlice, port: ServicePort) -> list[int]:
    # The API server takes any number for a port; one that is none would have the forwarder refuse the whole listener.
    return [
        target.port
        for target in piece.ports
        if target.port is not None
        and target.port in _PORTS
        and (target.name or "") == port.name
        and target.protocol == port.protocol
    ]
