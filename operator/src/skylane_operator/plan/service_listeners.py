"""The listeners that a Service of type LoadBalancer becomes: one for each of its ports."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from skylane_operator.model.key import service_owner
from skylane_operator.model.kubernetes import EndpointSlice, Service
from skylane_operator.plan.backends import planned_listener
from skylane_operator.plan.endpoints import Resolved, endpoints_of
from skylane_operator.plan.listener_settings import (
    Given,
    ListenerFault,
    listener_settings,
    settings_of_version,
)
from skylane_operator.plan.memory import NOTHING, Earlier
from skylane_operator.plan.owned import OwnedPlan, owned_listener
from skylane_operator.plan.service_types import Assigned, ServiceReason
from skylane_operator.plan.types import ListenerPlan

# What Kubernetes calls it, and what it was before it became a field.
SOURCE_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"

# What its listeners refer to. Not by the port's name: slices follow a new name a moment later, and have none of it meanwhile.
SELF = "self"


@dataclass(frozen=True, slots=True)
class ServicePlan(OwnedPlan):
    """What the pods of the LoadBalancer shall run for one Service."""

    faults: tuple[ListenerFault, ...]


def plan_for_service(
    service: Service, assigned: Assigned, slices: tuple[EndpointSlice, ...], earlier: Earlier = NOTHING
) -> ServicePlan:
    """Decide. Equal inputs give equal plans, generations included."""
    faults: list[ListenerFault] = []
    settings, wrong = listener_settings(service.metadata.annotations, _given(service))
    faults += wrong
    owner, plans = service_owner(service.key), list[ListenerPlan]()
    for port in service.spec.ports:
        if port.protocol not in ("TCP", "UDP"):
            faults.append(
                ListenerFault(
                    ServiceReason.UNSUPPORTED_PROTOCOL,
                    f"port {port.port}/{port.protocol}: only TCP and UDP are served; remove the port",
                )
            )
            continue
        for address in assigned.addresses:
            resolved = Resolved(SELF, 1, endpoints_of(slices, port, address.version))
            own = settings_of_version(settings, address.version)
            listener = owned_listener(owner, address, port.port, port.protocol, own)
            plans.append(planned_listener(listener, [resolved], earlier))
    return ServicePlan(
        owner=owner,
        load_balancer=assigned.load_balancer,
        listeners=tuple(plans),
        faults=tuple(faults),
    )


def _given(service: Service) -> Iterator[Given]:
    """What it says beside the annotations that Gateways have, too."""
    spec, annotations = service.spec, service.metadata.annotations
    if spec.session_affinity == "ClientIP":
        affinity = {"type": "ClientIP", "timeout_seconds": spec.affinity_seconds}
        yield "spec.sessionAffinity", ("session_affinity",), affinity
    ranges = spec.load_balancer_source_ranges or _split(annotations.get(SOURCE_RANGES_ANNOTATION, ""))
    if ranges:
        yield "spec.loadBalancerSourceRanges", ("allowed_source_ranges",), _ranges(ranges)
    if denied := _split(annotations.get("skylane.dev/denied-source-ranges", "")):
        yield "the annotation skylane.dev/denied-source-ranges", ("denied_source_ranges",), denied


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _ranges(given: tuple[str, ...]) -> tuple[str, ...]:
    """Without host bits: the API server takes 10.0.0.1/8. As given if one is no range."""
    try:
        return tuple(str(ip_network(text.strip(), strict=False)) for text in given)
    except ValueError:
        return given
