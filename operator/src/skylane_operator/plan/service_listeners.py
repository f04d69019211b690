"""The listeners that a Service of type LoadBalancer becomes: one for each of its ports."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from pydantic import ValidationError

from skylane_operator.model.forwarder import ForwarderListener
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import EndpointSlice, Service, ServicePort
from skylane_operator.model.load_balancer import BackendReference, Listener
from skylane_operator.plan.backends import Resolved, ready_endpoints, weighted_backends
from skylane_operator.plan.listeners import forwarder_listener
from skylane_operator.plan.service_types import Assigned, ServiceReason
from skylane_operator.plan.types import ListenerPlan

# Annotation to the field of a listener; the values are those of the LoadBalancer resource.
LISTENER_ANNOTATIONS = {
    "skylane.dev/scheduler": "scheduler",
    "skylane.dev/hash-on": "hash_on",
    "skylane.dev/on-backend-removal": "on_backend_removal",
}
_DIGEST_DIGITS = 8
_NAME_MAX = 48  # with the port, the digest and two dashes: 63


@dataclass(frozen=True, slots=True)
class ServiceFault:
    """A port, or all, of a Service that cannot be served."""

    reason: ServiceReason
    message: str


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What the pods of the LoadBalancer shall run for one Service.

    `answering` are the files of the pod that answers ARP for the address, `silent` those of the others.
    """

    service: Key
    load_balancer: Key
    address: IPv4Address
    answering: tuple[ForwarderListener, ...]
    silent: tuple[ForwarderListener, ...]
    endpoints: int
    faults: tuple[ServiceFault, ...]


def plan_for_service(service: Service, assigned: Assigned, slices: tuple[EndpointSlice, ...]) -> ServicePlan:
    """Decide. Equal inputs give equal plans, generations included."""
    faults: list[ServiceFault] = []
    settings, wrong = _settings(service)
    faults += wrong
    plans: list[ListenerPlan] = []
    for port in service.spec.ports:
        if port.protocol not in ("TCP", "UDP"):
            faults.append(
                ServiceFault(
                    ServiceReason.UNSUPPORTED_PROTOCOL,
                    f"port {port.port}/{port.protocol}: only TCP and UDP are served; remove the port",
                )
            )
            continue
        backends = weighted_backends([Resolved(1, tuple(ready_endpoints(slices, port)))])
        plans.append(ListenerPlan(_listener(service, assigned, port, settings), backends))
    return ServicePlan(
        service=service.metadata.key,
        load_balancer=assigned.load_balancer,
        address=assigned.address,
        answering=_files(plans, arp=True),
        silent=_files(plans, arp=False),
        endpoints=len({backend.address for plan in plans for backend in plan.backends}),
        faults=tuple(faults),
    )


def _files(plans: Iterable[ListenerPlan], *, arp: bool) -> tuple[ForwarderListener, ...]:
    return tuple(forwarder_listener(plan, arp=arp) for plan in plans)


def _settings(service: Service) -> tuple[dict[str, str], list[ServiceFault]]:
    """Fields of the listeners that annotations set; one that is not valid is left out and named."""
    settings: dict[str, str] = {}
    faults: list[ServiceFault] = []
    annotations = service.metadata.annotations
    for annotation, field_name in LISTENER_ANNOTATIONS.items():
        if annotation not in annotations:
            continue
        value = annotations[annotation]
        try:
            _probe(**{field_name: value})
        except ValidationError as error:
            expected = error.errors(include_url=False)[0]["msg"]
            message = f"the annotation {annotation}: {value!r} is not valid ({expected}); correct it"
            faults.append(ServiceFault(ServiceReason.INVALID_ANNOTATION, message))
        else:
            settings[field_name] = value
    return settings, faults


def _probe(**settings: str) -> None:
    reference = BackendReference(service="a", port=1)
    Listener.model_validate(
        {"name": "a", "vip": "192.0.2.1", "port": 1, "backends": (reference,), **settings}
    )


def _listener(service: Service, assigned: Assigned, port: ServicePort, settings: dict[str, str]) -> Listener:
    name = service.metadata.name
    return Listener.model_validate(
        {
            "name": listener_name(service.metadata.key, port.port, port.protocol),
            "vip": assigned.address,
            "port": port.port,
            "protocol": port.protocol,
            "backends": (BackendReference(service=name, port=port.port),),
            **settings,
        }
    )


def listener_name(service: Key, port: int, protocol: str) -> str:
    """Readable, and unlike that of any other port of any Service: a digest of all four parts is its end."""
    whole = f"{service.namespace}/{service.name}/{port}/{protocol}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{service.name[:_NAME_MAX].rstrip('-')}-{port}-{digest}"
