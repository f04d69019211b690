"""Objects of others, and pools, whose status we write, as they were last read."""

from dataclasses import dataclass
from typing import Any

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.parse import InvalidPool, pool_from
from skylane_operator.status import current_service_status

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredPool:
    """A VirtualIPPool, or what is wrong with it; and its status as the API server gave it."""

    key: Key
    uid: str
    status: Json
    parsed: VirtualIPPool | InvalidPool


def stored_pool_from(body: Json) -> StoredPool:
    """From an object of the API."""
    parsed = pool_from(body)
    return StoredPool(
        key=parsed.metadata.key, uid=parsed.metadata.uid, status=body.get("status") or {}, parsed=parsed
    )


@dataclass(frozen=True, slots=True)
class ServiceSubject:
    """A Service, with what of its status is ours."""

    key: Key
    uid: str
    status: Json


def subject_of(service: Service) -> ServiceSubject:
    """As the store has it."""
    metadata = service.metadata
    return ServiceSubject(key=metadata.key, uid=metadata.uid, status=current_service_status(service))
