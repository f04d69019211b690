"""Which endpoints stand behind a listener's backend references."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address

from skylane_operator.model.address import IPV4
from skylane_operator.model.forwarder import NO_LIMIT, ForwarderBackend
from skylane_operator.model.kubernetes import EndpointSlice, Service, ServicePort
from skylane_operator.model.listener_policy import TerminatingEndpoints
from skylane_operator.model.load_balancer import BackendReference, Listener
from skylane_operator.plan.types import Blocks, Inputs, Reason, Rejected
from skylane_operator.plan.weights import MAX_WEIGHT, endpoint_weights

# Text, as the slices give it: parsing every address anew would be half the cost of a plan.
SocketAddress = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Those of a Service port: that are ready, and that terminate but still serve."""

    ready: frozenset[SocketAddress] = frozenset()
    draining: frozenset[SocketAddress] = frozenset()


@dataclass(frozen=True, slots=True)
class Resolved:
    """One Service's endpoints, and the weight that they share."""

    weight: int
    endpoints: Endpoints
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Weighted:
    """Endpoints with their weights. `last_resort`: none is ready, and those that terminate take new connections."""

    backends: tuple[ForwarderBackend, ...]
    last_resort: bool = False


def backends_for(inputs: Inputs, listener: Listener, path: str) -> tuple[Weighted, tuple[Rejected, ...]]:
    """Endpoints of a listener with their weights, and the references that lead nowhere.

    `path` is the listener's field path. An endpoint that several references reach is listed once, with the sum of
    its weights and the smallest of its limits. The order depends on the addresses alone, so that equal endpoints give an
    equal generation.
    """
    resolved: list[Resolved] = []
    rejected: list[Rejected] = []
    for index, reference in enumerate(listener.backends):
        found = _resolve(inputs, listener, reference, f"{path}.backends[{index}]")
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            resolved.append(found)
    return weighted_backends(resolved, listener.terminating_endpoints), tuple(rejected)


def weighted_backends(resolved: list[Resolved], terminating: TerminatingEndpoints) -> Weighted:
    """Endpoints with their weights, by address; one that several Services reach is listed once, with the sum."""
    if terminating is TerminatingEndpoints.REMOVE:
        return Weighted(
            _weighted([replace(one, endpoints=Endpoints(one.endpoints.ready)) for one in resolved])
        )
    if any(one.weight and one.endpoints.ready for one in resolved):
        return Weighted(_weighted(resolved))
    # As kube-proxy (KEP-1669): rather those that are about to go than nobody.
    everybody = [
        replace(one, endpoints=Endpoints(one.endpoints.ready | one.endpoints.draining)) if one.weight else one
        for one in resolved
    ]
    return Weighted(_weighted(everybody), any(one.weight and one.endpoints.draining for one in resolved))


def _weighted(resolved: list[Resolved]) -> tuple[ForwarderBackend, ...]:
    weights = endpoint_weights([(service.weight, len(service.endpoints.ready)) for service in resolved])
    totals: dict[SocketAddress, int] = {}
    limits: dict[SocketAddress, int] = {}
    draining: set[SocketAddress] = set()
    for service, weight in zip(resolved, weights, strict=True):
        for endpoint in service.endpoints.ready:
            totals[endpoint] = totals.get(endpoint, 0) + weight
        draining |= service.endpoints.draining
        if service.limit is not None:
            for endpoint in service.endpoints.ready | service.endpoints.draining:
                limits[endpoint] = min(service.limit, limits.get(endpoint, service.limit))
    draining -= totals.keys()
    totals |= dict.fromkeys(draining, 0)
    return tuple(
        ForwarderBackend(
            address=endpoint[0],
            port=endpoint[1],
            weight=min(weight, MAX_WEIGHT),
            max_connections=limits.get(endpoint, NO_LIMIT),
            draining=True if endpoint in draining else None,
        )
        for endpoint, weight in sorted(totals.items(), key=_by_number)
    )


def _by_number(item: tuple[SocketAddress, int]) -> tuple[int, int]:
    (address, port), _ = item
    return _number_of(address), port


@lru_cache(maxsize=1 << 16)
def _number_of(address: str) -> int:
    return int(ip_address(address))


def _resolve(
    inputs: Inputs, listener: Listener, reference: BackendReference, path: str
) -> Resolved | Rejected:
    service = inputs.services.get(reference.service)
    if service is None:
        return _unknown_service(inputs, listener, reference, path)
    port = _service_port(service, reference.port, listener.protocol)
    if port is None:
        return _unknown_port(inputs, listener, service, reference, path)
    endpoints = endpoints_of(inputs.endpoint_slices.get(reference.service, ()), port, listener.vip.version)
    return Resolved(reference.weight, endpoints, reference.max_connections_per_endpoint)


def _service_port(service: Service, number: int, protocol: str) -> ServicePort | None:
    for port in service.spec.ports:
        if port.port == number and port.protocol == protocol:
            return port
    return None


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
            for endpoint in piece.endpoints:
                if not (endpoint.is_ready or endpoint.is_draining):
                    continue
                if _version_of(endpoint.address) == version:
                    (ready if endpoint.is_ready else draining).add((endpoint.address, number))
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
    return [
        target.port
        for target in piece.ports
        if target.port is not None and (target.name or "") == port.name and target.protocol == port.protocol
    ]


def _unknown_service(inputs: Inputs, listener: Listener, reference: BackendReference, path: str) -> Rejected:
    key = inputs.load_balancer.key
    return Rejected(
        key=key,
        field=f"{path}.service",
        reason=Reason.SERVICE_NOT_FOUND,
        message=(
            f"listener {listener.name}: {path}.service: Service {key.namespace}/{reference.service} does not exist; "
            "create it, or correct the name"
        ),
        blocks=Blocks.REFERENCE,
        listener=listener.name,
    )


def _unknown_port(
    inputs: Inputs, listener: Listener, service: Service, reference: BackendReference, path: str
) -> Rejected:
    offered = ", ".join(f"{port.port}/{port.protocol}" for port in service.spec.ports) or "none"
    return Rejected(
        key=inputs.load_balancer.key,
        field=f"{path}.port",
        reason=Reason.SERVICE_PORT_NOT_FOUND,
        message=(
            f"listener {listener.name}: {path}.port: Service {service.metadata.key} has no port "
            f"{reference.port}/{listener.protocol} (it has: {offered}); correct the port here or in the Service"
        ),
        blocks=Blocks.REFERENCE,
        listener=listener.name,
    )
