"""Which TCPRoutes and UDPRoutes attach to which listeners of a Gateway, and which Services they lead to."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from skylane_operator.model.gateway import (
    Gateway,
    GatewayListener,
    ParentReference,
    ReferenceGrant,
    Route,
    RouteBackend,
)
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import EndpointSlice, Service, ServicePort

_NEVER = datetime.max.replace(tzinfo=UTC)


class RouteReason(StrEnum):
    """Reasons of a route's conditions, as Gateway API names them."""

    ACCEPTED = "Accepted"
    NOT_ALLOWED_BY_LISTENERS = "NotAllowedByListeners"
    NO_MATCHING_PARENT = "NoMatchingParent"
    RESOLVED_REFS = "ResolvedRefs"
    REF_NOT_PERMITTED = "RefNotPermitted"
    INVALID_KIND = "InvalidKind"
    BACKEND_NOT_FOUND = "BackendNotFound"


@dataclass(frozen=True, slots=True)
class RouteFault:
    """What keeps a route from a Gateway, or one of its references from a Service; `message` says the mend, too."""

    reason: RouteReason
    message: str


@dataclass(frozen=True, slots=True)
class RouteInputs:
    """What a route's references depend on, read by key: nothing else of the cluster is looked at.

    `namespace_labels` are by namespace, `grants` those of a namespace.
    """

    service: Callable[[Key], Service | None]
    endpoint_slices: Callable[[Key], tuple[EndpointSlice, ...]]
    grants: Callable[[str], Iterable[ReferenceGrant]]
    namespace_labels: Callable[[str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Backend:
    """A reference that leads to a port of a Service."""

    service: Key
    port: ServicePort
    weight: int


@dataclass(frozen=True, slots=True)
class Backends:
    """Where a route leads, and its references that lead nowhere."""

    found: tuple[Backend, ...] = ()
    faults: tuple[RouteFault, ...] = field(default_factory=tuple)


def attached(inputs: RouteInputs, gateway: Gateway, listener: GatewayListener, route: Route) -> bool:
    """Whether one of the route's references to the Gateway attaches it to the listener."""
    references = [one for one in route.spec.parent_refs if one.gateway(route.key) == gateway.key]
    return any(_matches(one, listener) for one in references) and _allows(inputs, gateway, listener, route)


def refusal(
    inputs: RouteInputs, gateway: Gateway, reference: ParentReference, route: Route
) -> RouteFault | None:
    """Why the reference attaches the route to no listener of the Gateway; None if it does to one."""
    matching = [one for one in gateway.spec.listeners if _matches(reference, one)]
    if not matching:
        wanted = " and ".join(
            f"{name} {value}"
            for name, value in (("sectionName", reference.section_name), ("port", reference.port))
            if value is not None
        )
        names = ", ".join(f"{one.name} (port {one.port})" for one in gateway.spec.listeners)
        return RouteFault(
            RouteReason.NO_MATCHING_PARENT,
            f"parentRefs: Gateway {gateway.key} has no listener of {wanted} (it has: {names}); correct the reference",
        )
    if any(_allows(inputs, gateway, one, route) for one in matching):
        return None
    if not any(route.kind in one.supported_kinds for one in matching):
        why = f"none of them takes a {route.kind}; refer to one of protocol {route.protocol}"
    else:
        why = f"none of them takes routes of namespace {route.key.namespace}; extend its allowedRoutes.namespaces"
    names = ", ".join(one.name for one in matching)
    return RouteFault(
        RouteReason.NOT_ALLOWED_BY_LISTENERS, f"parentRefs: Gateway {gateway.key}, listener {names}: {why}"
    )


def _matches(reference: ParentReference, listener: GatewayListener) -> bool:
    return reference.section_name in (None, listener.name) and reference.port in (None, listener.port)


def _allows(inputs: RouteInputs, gateway: Gateway, listener: GatewayListener, route: Route) -> bool:
    if route.kind not in listener.supported_kinds:
        return False
    namespaces = listener.allowed_routes.namespaces
    match namespaces.from_:
        case "All":
            return True
        case "Selector":
            selector = namespaces.selector
            return selector is not None and selector.matches(inputs.namespace_labels(route.key.namespace))
        case "Same":
            return route.key.namespace == gateway.key.namespace
    return False


def by_age(route: Route) -> tuple[datetime, Key]:
    """Of several routes at one listener the oldest is served, of equally old ones the first by name."""
    return (route.metadata.creation_timestamp or _NEVER, route.key)


def backends_of(inputs: RouteInputs, route: Route) -> Backends:
    """Where the route leads. A reference that leads nowhere does not keep the others from being served."""
    found: list[Backend] = []
    faults: list[RouteFault] = []
    for index, reference in enumerate(route.backends):
        one = _resolved(inputs, route, reference, f"rules[0].backendRefs[{index}]")
        if isinstance(one, RouteFault):
            faults.append(one)
        else:
            found.append(one)
    return Backends(tuple(found), tuple(faults))


def _resolved(inputs: RouteInputs, route: Route, reference: RouteBackend, path: str) -> Backend | RouteFault:
    if not reference.is_service:
        return RouteFault(
            RouteReason.INVALID_KIND,
            f"{path}.kind: {reference.kind} of group {reference.group or 'core'} cannot be a backend; name a Service",
        )
    key = reference.key(route.key)
    if key.namespace != route.key.namespace and not any(
        grant.permits(route.kind, route.key.namespace, key) for grant in inputs.grants(key.namespace)
    ):
        return RouteFault(
            RouteReason.REF_NOT_PERMITTED,
            f"{path}.namespace: no ReferenceGrant in namespace {key.namespace} lets a {route.kind} of namespace "
            f"{route.key.namespace} refer to Service {key.name}; create one there",
        )
    service = inputs.service(key)
    if service is None:
        return RouteFault(
            RouteReason.BACKEND_NOT_FOUND,
            f"{path}: Service {key} does not exist; create it, or correct the name",
        )
    for port in service.spec.ports:
        if (port.port, port.protocol) == (reference.port, route.protocol):
            return Backend(key, port, reference.weight)
    offered = ", ".join(f"{port.port}/{port.protocol}" for port in service.spec.ports) or "none"
    return RouteFault(
        RouteReason.BACKEND_NOT_FOUND,
        f"{path}.port: Service {key} has no port {reference.port}/{route.protocol} (it has: {offered}); correct the port",
    )
