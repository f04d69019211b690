"""Who asks for addresses: a Service of type LoadBalancer or a Gateway, with what its address depends on."""

from dataclasses import dataclass

from skylane_operator.model.gateway import Gateway, conditions_of
from skylane_operator.model.key import Key, ObjectKey, gateway_owner, service_owner
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.plan.service_types import ADDRESS_ANNOTATION, ADDRESS_ASSIGNED


@dataclass(frozen=True, slots=True)
class Asker:
    """One that asks for an address of what a LoadBalancer offers.

    `requested` are the addresses that it wants, as it writes them in `requested_by`; `chosen_by` is the field that names the
    LoadBalancer. `recorded` are the addresses that its status says it has, if that word is ours.
    """

    owner: ObjectKey
    load_balancer: Key
    metadata: ObjectMeta
    ports: frozenset[tuple[int, str]]
    requested: str
    requested_by: str
    chosen_by: str
    recorded: tuple[str, ...]
    ip_versions: tuple[int, ...]


def service_asker(service: Service, load_balancer: Key) -> Asker:
    """A Service that asks for the LoadBalancer."""
    by_annotation = service.metadata.annotations.get(ADDRESS_ANNOTATION, "")
    ours = any(c.type == ADDRESS_ASSIGNED and c.status == "True" for c in service.status.conditions)
    return Asker(
        owner=service_owner(service.key),
        load_balancer=load_balancer,
        metadata=service.metadata,
        ports=frozenset((port.port, port.protocol) for port in service.spec.ports),
        requested=by_annotation or service.spec.load_balancer_ip,
        requested_by=f"the annotation {ADDRESS_ANNOTATION}" if by_annotation else "spec.loadBalancerIP",
        chosen_by="spec.loadBalancerClass",
        recorded=tuple(one.ip for one in service.status.load_balancer.ingress) if ours else (),
        ip_versions=service.spec.ip_versions,
    )


def gateway_asker(gateway: Gateway, load_balancer: Key) -> Asker:
    """A Gateway whose class is of the LoadBalancer. It has the IP versions of the addresses that it asks for, else IPv4."""
    requested = gateway.spec.requested_addresses
    versions = {6 if ":" in text else 4: None for text in requested}
    return Asker(
        owner=gateway_owner(gateway.key),
        load_balancer=load_balancer,
        metadata=gateway.metadata,
        ports=frozenset((listener.port, listener.protocol) for listener in gateway.spec.listeners),
        requested=",".join(requested),
        requested_by="spec.addresses",
        chosen_by="spec.parametersRef of its GatewayClass",
        recorded=_recorded(gateway),
        ip_versions=tuple(versions) or (4,),
    )


def _recorded(gateway: Gateway) -> tuple[str, ...]:
    # The status may be that of another controller whose class it was of.
    if conditions_of(gateway.status).get(ADDRESS_ASSIGNED, {}).get("status") != "True":
        return ()
    return tuple(one["value"] for one in gateway.status.get("addresses") or ())
