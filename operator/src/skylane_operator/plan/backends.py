"""Which endpoints stand behind a listener's backend references."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address

from skylane_operator.model.forwarder import NO_LIMIT, ForwarderBackend
from skylane_operator.model.kubernetes import Service, ServicePort
from skylane_operator.model.listener_policy import TerminatingEndpoints
from skylane_operator.model.load_balancer import BackendReference, Listener
from skylane_operator.plan.endpoints import Endpoints, Resolved, SocketAddress, endpoints_of
from skylane_operator.plan.memory import NO_MEMORY, Earlier, Memory
from skylane_operator.plan.removal_guard import guarded
from skylane_operator.plan.slow_start import STEPS, started
from skylane_operator.plan.types import Blocks, Inputs, ListenerPlan, Reason, Rejected
from skylane_operator.plan.weights import MAX_WEIGHT, endpoint_weights, scaled


@dataclass(frozen=True, slots=True)
class Weighted:
    """Endpoints with their weights. `last_resort`: none is ready, and those that terminate take new connections."""

    backends: tuple[ForwarderBackend, ...]
    last_resort: bool = False


def listener_plan_for(
    inputs: Inputs, listener: Listener, path: str
) -> tuple[ListenerPlan, tuple[Rejected, ...]]:
    """A listener with the endpoints that it leads to, and the references that lead nowhere.

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
    return planned_listener(listener, resolved, inputs.earlier), tuple(rejected)


def planned_listener(listener: Listener, resolved: Iterable[Resolved], earlier: Earlier) -> ListenerPlan:
    """A listener with the endpoints of these Services, once its guard has looked at them, the new ones with their share."""
    memory, now_s = earlier.memories.get(listener.name, NO_MEMORY), earlier.now_s
    found = guarded(resolved, listener.mass_removal_guard, memory.guard, now_s)
    start = started(found.resolved, listener.slow_start_seconds, memory.start, now_s)
    steps = start.starting.steps if start.starting is not None else {}
    weighted = weighted_backends(found.resolved, listener.terminating_endpoints, steps)
    return ListenerPlan(
        listener,
        weighted.backends,
        weighted.last_resort,
        Memory(found.memory, start.memory),
        found.held,
        start.starting,
    )


def weighted_backends(
    resolved: Sequence[Resolved], terminating: TerminatingEndpoints, steps: Mapping[SocketAddress, int]
) -> Weighted:
    """Endpoints with their weights, by address; one that several Services reach is listed once, with the sum.

    `steps` of STEPS are the share of those that are starting.
    """
    if terminating is TerminatingEndpoints.REMOVE:
        return Weighted(
            _weighted([replace(one, endpoints=Endpoints(one.endpoints.ready)) for one in resolved], steps)
        )
    if any(one.weight and one.endpoints.ready for one in resolved):
        return Weighted(_weighted(resolved, steps))
    # As kube-proxy (KEP-1669): rather those that are about to go than nobody.
    everybody = [
        replace(one, endpoints=Endpoints(one.endpoints.ready | one.endpoints.draining)) if one.weight else one
        for one in resolved
    ]
    return Weighted(
        _weighted(everybody, steps), any(one.weight and one.endpoints.draining for one in resolved)
    )


def _weighted(
    resolved: Sequence[Resolved], steps: Mapping[SocketAddress, int]
) -> tuple[ForwarderBackend, ...]:
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
    totals = _in_steps(totals, steps)
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


def _in_steps(
    weights: dict[SocketAddress, int], steps: Mapping[SocketAddress, int]
) -> dict[SocketAddress, int]:
    """The weights with the shares of those that are starting."""
    if not steps:
        return weights
    return scaled({one: weight * steps.get(one, STEPS) for one, weight in weights.items()})


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
    name = f"{reference.service}:{reference.port}"
    return Resolved(name, reference.weight, endpoints, reference.max_connections_per_endpoint)


def _service_port(service: Service, number: int, protocol: str) -> ServicePort | None:
    for port in service.spec.ports:
        if port.port == number and port.protocol == protocol:
            return port
    return None


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
