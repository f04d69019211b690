"""Objects of others, and pools, whose status we write, as they were last read."""

from dataclasses import dataclass
from typing import Any

from skylane_operator.model.gateway import Gateway, GatewayClass, Route
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.readable import readable_status
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.parse import InvalidPool, pool_from
from skylane_operator.status import (
    current_class_status,
    current_gateway_status,
    current_route_status,
    current_service_status,
)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredPool:
    """A VirtualIPPool, or what is wrong with it; and its status as far as it can be read."""

    key: Key
    uid: str
    status: Json
    parsed: VirtualIPPool | InvalidPool


def stored_pool_from(body: Json) -> StoredPool:
    """From an object of the API."""
    parsed = pool_from(body)
    return StoredPool(
        key=parsed.metadata.key,
        uid=parsed.metadata.uid,
        status=readable_status(body.get("status")),
        parsed=parsed,
    )


@dataclass(frozen=True, slots=True)
class SharedSubject:
    """An object of others, with what of its status is ours.

    `resource_version` is given where to write the status replaces what others wrote: it is written on that version only.
    """

    key: Key
    uid: str
    status: Json
    resource_version: str = ""


def subject_of(service: Service) -> SharedSubject:
    """As the store has it."""
    metadata = service.metadata
    return SharedSubject(key=metadata.key, uid=metadata.uid, status=current_service_status(service))


def subject_of_class(gateway_class: GatewayClass) -> SharedSubject:
    """As the store has it."""
    metadata = gateway_class.metadata
    return SharedSubject(metadata.key, metadata.uid, current_class_status(gateway_class))


def subject_of_gateway(gateway: Gateway) -> SharedSubject:
    """As the store has it."""
    metadata = gateway.metadata
    return SharedSubject(metadata.key, metadata.uid, current_gateway_status(gateway))


def subject_of_route(route: Route) -> SharedSubject:
    """As the store has it."""
    metadata = route.metadata
    return SharedSubject(metadata.key, metadata.uid, current_route_status(route), route.resource_version)
