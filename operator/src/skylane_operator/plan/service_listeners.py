"""The listeners that a Service of type LoadBalancer becomes: one for each of its ports."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from pydantic import ValidationError

from skylane_operator.model.address import IPAddress
from skylane_operator.model.key import service_owner
from skylane_operator.model.kubernetes import EndpointSlice, Service, ServicePort
from skylane_operator.model.load_balancer import BackendReference, Listener
from skylane_operator.plan.backends import Resolved, ready_endpoints, weighted_backends
from skylane_operator.plan.owned import OwnedPlan, forwarder_files, owned_listener
from skylane_operator.plan.service_types import Assigned, ServiceReason
from skylane_operator.plan.types import ListenerPlan

# Annotation to the field of a listener, the values as the LoadBalancer resource has them.
LISTENER_ANNOTATIONS = {
    "skylane.dev/scheduler": ("scheduler",),
    "skylane.dev/hash-on": ("hash_on",),
    "skylane.dev/on-backend-removal": ("on_backend_removal",),
    "skylane.dev/max-connections": ("max_connections",),
    "skylane.dev/client-max-connections": ("client_limits", "max_connections"),
    "skylane.dev/client-new-connections-per-second": ("client_limits", "new_connections_per_second"),
}
# What Kubernetes calls it, and what it was before it became a field.
SOURCE_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
# Ranges of the other IP version alone let nobody in: this matches no client.
_NOBODY = "255.255.255.255/32"
IPV4 = 4


Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceFault:
    """A port, or all, of a Service that cannot be served."""

    reason: ServiceReason
    message: str


@dataclass(frozen=True, slots=True)
class ServicePlan(OwnedPlan):
    """What the pods of the LoadBalancer shall run for one Service."""

    endpoints: int
    faults: tuple[ServiceFault, ...]


def plan_for_service(service: Service, assigned: Assigned, slices: tuple[EndpointSlice, ...]) -> ServicePlan:
    """Decide. Equal inputs give equal plans, generations included."""
    faults: list[ServiceFault] = []
    settings, wrong = _settings(service)
    faults += wrong
    owner, plans = service_owner(service.key), list[ListenerPlan]()
    for port in service.spec.ports:
        if port.protocol not in ("TCP", "UDP"):
            faults.append(
                ServiceFault(
                    ServiceReason.UNSUPPORTED_PROTOCOL,
                    f"port {port.port}/{port.protocol}: only TCP and UDP are served; remove the port",
                )
            )
            continue
        for address in assigned.addresses:
            if address.version != IPV4 and _has_ranges(settings):
                faults.append(_ranges_unserved(port, address))
                continue
            endpoints = ready_endpoints(slices, port, address.version)
            listener = owned_listener(owner, address, port.port, port.protocol, settings)
            plans.append(ListenerPlan(listener, weighted_backends([Resolved(1, tuple(endpoints))])))
    return ServicePlan(
        owner=owner,
        load_balancer=assigned.load_balancer,
        answering=forwarder_files(plans, arp=True),
        silent=forwarder_files(plans, arp=False),
        endpoints=len({backend.address for plan in plans for backend in plan.backends}),
        faults=tuple(faults),
    )


def _has_ranges(settings: Settings) -> bool:
    return "allowed_source_ranges" in settings or "denied_source_ranges" in settings


def _ranges_unserved(port: ServicePort, address: IPAddress) -> ServiceFault:
    # Without them it would be open to everybody.
    return ServiceFault(
        ServiceReason.SOURCE_RANGES_UNSERVED,
        f"port {port.port}/{port.protocol} is not served at {address}: source ranges of IPv6 are not known yet; ask for "
        "IPv4 alone in spec.ipFamilies, or leave the ranges out",
    )


def _settings(service: Service) -> tuple[Settings, list[ServiceFault]]:
    """Fields of the listeners that the Service sets; one that is not valid is named and left out, ranges let nobody in."""
    settings: Settings = {}
    faults: list[ServiceFault] = []
    for source, path, value in _given(service):
        wider = _with(settings, path, value)
        try:
            _probe(wider)
        except ValidationError as error:
            expected = error.errors(include_url=False)[0]["msg"]
            message = f"{source}: {value!r} is not valid ({expected}); correct it"
            faults.append(ServiceFault(ServiceReason.INVALID_ANNOTATION, message))
            if path[0].endswith("source_ranges"):
                # A list that cannot be read must not become an open door.
                settings = {**settings, "allowed_source_ranges": (_NOBODY,)}
        else:
            settings = wider
    return settings, faults


def _given(service: Service) -> Iterator[tuple[str, tuple[str, ...], object]]:
    """Where it says so, which field of a listener that is, and its value."""
    spec, annotations = service.spec, service.metadata.annotations
    if spec.session_affinity == "ClientIP":
        affinity = {"type": "ClientIP", "timeout_seconds": spec.affinity_seconds}
        yield "spec.sessionAffinity", ("session_affinity",), affinity
    ranges = spec.load_balancer_source_ranges or _split(annotations.get(SOURCE_RANGES_ANNOTATION, ""))
    if ranges:
        yield "spec.loadBalancerSourceRanges", ("allowed_source_ranges",), _ranges(ranges)
    if denied := _split(annotations.get("skylane.dev/denied-source-ranges", "")):
        yield "the annotation skylane.dev/denied-source-ranges", ("denied_source_ranges",), denied
    for annotation, path in LISTENER_ANNOTATIONS.items():
        if annotation in annotations:
            yield f"the annotation {annotation}", path, annotations[annotation]


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _ranges(given: tuple[str, ...]) -> tuple[str, ...]:
    """Those of IPv4, without host bits: the API server takes both versions, and 10.0.0.1/8. As given if one is no range."""
    try:
        networks = [ip_network(text.strip(), strict=False) for text in given]
    except ValueError:
        return given
    return tuple(str(network) for network in networks if network.version == IPV4) or (_NOBODY,)


def _with(settings: Settings, path: tuple[str, ...], value: object) -> Settings:
    first, *rest = path
    inner = _with(settings.get(first, {}), tuple(rest), value) if rest else value
    return {**settings, first: inner}


def _probe(settings: Settings) -> None:
    reference = BackendReference(service="a", port=1)
    Listener.model_validate(
        {"name": "a", "vip": "192.0.2.1", "port": 1, "backends": (reference,), **settings}
    )
