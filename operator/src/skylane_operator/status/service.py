"""The status of a Service of type LoadBalancer, and of a VirtualIPPool, as they are applied."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.virtual_ip_pool import VirtualIPPool, VirtualIPPoolStatus
from skylane_operator.plan.observed import OwnerState
from skylane_operator.plan.parse import InvalidPool
from skylane_operator.plan.service_listeners import ServicePlan
from skylane_operator.plan.service_types import (
    ADDRESS_ASSIGNED,
    PROGRAMMED,
    SERVICE_CONDITIONS,
    Assigned,
    Assignment,
    Refused,
)
from skylane_operator.status.build import Status, dated
from skylane_operator.status.conditions import Verdict
from skylane_operator.status.owned_health import owned_backends_healthy

_MAX_NAMED = 5


def current_service_status(service: Service) -> Status:
    """What of its status is ours, in the form of `service_status`."""
    mine = [c for c in service.status.conditions if c.type in SERVICE_CONDITIONS]
    status: Status = {}
    if not mine:
        return status
    ingress = service.status.load_balancer.ingress
    if ingress:
        status["loadBalancer"] = {"ingress": [{"ip": one.ip, "ipMode": one.ip_mode} for one in ingress]}
    status["conditions"] = [one.model_dump(mode="json", by_alias=True) for one in mine]
    return status


def service_status(
    service: Service,
    assignment: Assignment,
    plan: ServicePlan | None,
    state: OwnerState,
    previous: Mapping[str, Any],
    now: datetime,
) -> Status:
    """Status of a Service that asks for a LoadBalancer of ours. `plan` is None while it cannot be served."""
    verdicts = [address_assigned(assignment), _programmed(assignment, plan, state)]
    if plan is not None and (healthy := owned_backends_healthy(plan, state)):
        verdicts.append(healthy)
    conditions = dated(verdicts, service.metadata.generation, previous, now)
    status: Status = {"conditions": [c.model_dump(mode="json", by_alias=True) for c in conditions]}
    if isinstance(assignment, Assigned):
        # Not a proxy's address: within the cluster, kube-proxy may go to the endpoints directly (KEP-1860).
        status["loadBalancer"] = {
            "ingress": [{"ip": str(address), "ipMode": "VIP"} for address in assignment.addresses]
        }
    return status


def address_assigned(assignment: Assignment) -> Verdict:
    """The condition about the address of an owner."""
    if isinstance(assignment, Refused):
        return Verdict(ADDRESS_ASSIGNED, "False", str(assignment.reason), assignment.message)
    parts = [_origin(assignment)]
    if isinstance(assignment.second, Assigned):
        parts.append(_origin(assignment.second))
    elif assignment.second is not None:
        parts.append(f"not of both IP versions: {assignment.second.message}")
    return Verdict(ADDRESS_ASSIGNED, "True", "Assigned", "; ".join(parts))


def _origin(assigned: Assigned) -> str:
    source = f"VirtualIPPool {assigned.pool}" if assigned.pool else "no VirtualIPPool any more; it stays"
    return f"{assigned.address} of {source}"


def _programmed(assignment: Assignment, plan: ServicePlan | None, state: OwnerState) -> Verdict:
    if isinstance(assignment, Refused):
        return Verdict(PROGRAMMED, "False", "NoAddress", f"see the condition {ADDRESS_ASSIGNED}")
    if plan is not None and plan.faults:
        message = "; ".join(fault.message for fault in plan.faults)
        return Verdict(PROGRAMMED, "False", str(plan.faults[0].reason), message)
    lag = programming_lag(assignment.load_balancer, state if plan is not None else OwnerState())
    if lag is not None:
        return Verdict(PROGRAMMED, "False", *lag)
    return Verdict(PROGRAMMED, "True", "Programmed", "every pod runs the newest configuration")


def programming_lag(load_balancer: Key, state: OwnerState) -> tuple[str, str] | None:
    """Why not every pod runs the newest configuration of an owner, as reason and message; None if every one does."""
    if not state.pods:
        message = f"LoadBalancer {load_balancer} has no pods, or cannot be read; look at its conditions"
        return "LoadBalancerNotReady", message
    if state.errors:
        details = [f"pod {pod} refused it: {error}" for pod, error in sorted(state.errors.items())]
        return "ForwarderRejected", _joined(details)
    if state.pending:
        return (
            "GenerationPending",
            f"not yet run by pod {_joined(state.pending)} of LoadBalancer {load_balancer}",
        )
    return None


def _joined(parts: Iterable[str]) -> str:
    listed = list(parts)
    more = len(listed) - _MAX_NAMED
    return ", ".join(listed[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def pool_status(
    pool: VirtualIPPool | InvalidPool, assigned: int, previous: Mapping[str, Any], now: datetime
) -> Status:
    """Status of a pool of which `assigned` addresses are taken."""
    generation = pool.metadata.generation
    if isinstance(pool, InvalidPool):
        verdict = Verdict("Accepted", "False", "Invalid", f"{pool.message}; what it gave away stays")
        status = VirtualIPPoolStatus(
            observed_generation=generation, conditions=dated([verdict], generation, previous, now)
        )
    else:
        verdict = Verdict("Accepted", "True", "Accepted", "its addresses are given away as asked for")
        status = VirtualIPPoolStatus(
            observed_generation=generation,
            size=pool.spec.size,
            assigned=assigned,
            available=pool.spec.size - assigned,
            conditions=dated([verdict], generation, previous, now),
        )
    return status.model_dump(mode="json", by_alias=True, exclude_unset=True)
