"""The whole status of a LoadBalancer, as it is applied."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from skylane_operator.model.condition import Condition
from skylane_operator.model.key import SERVICE
from skylane_operator.model.load_balancer import ListenerStatus, LoadBalancerStatus
from skylane_operator.model.upgrade import UpgradeStatus
from skylane_operator.plan.listeners import distinct_endpoints
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.types import ListenerPlan, Plan, Rejected
from skylane_operator.status.conditions import Verdict, verdicts_for
from skylane_operator.status.health import healthy_backends, reports_of, unhealthy_backends
from skylane_operator.status.programmed import pods_running, ready_pods
from skylane_operator.status.told import NOTHING_TOLD, Told

# The status as the API server gave it, or as it is to be applied.
Status = dict[str, Any]


def status_for(
    plan: Plan,
    observed: Observed,
    previous: Mapping[str, Any] | None,
    now: datetime,
    told: Told = NOTHING_TOLD,
) -> Status:
    """Status of a plan. `previous` is the status of the object as last read; `now` is in UTC."""
    generation = plan.load_balancer.metadata.generation
    status = LoadBalancerStatus(
        observed_generation=generation,
        conditions=dated([*verdicts_for(plan, observed), *told.verdicts], generation, previous, now),
        vips=",".join(dict.fromkeys(str(item.listener.vip) for item in plan.listeners)),
        replicas=f"{ready_pods(plan, observed)}/{plan.load_balancer.spec.replicas}",
        backends=len(distinct_endpoints(plan.listeners)),
        services=sum(owner.kind == SERVICE for owner in set(observed.owners.values())),
        **({"upgrade": told.upgrade} if told.upgrade is not None else {}),
        listeners=_listener_statuses(plan, observed),
    )
    return _as_applied(status)


def rejected_status_for(
    rejected: tuple[Rejected, ...], generation: int, previous: Mapping[str, Any] | None, now: datetime
) -> Status:
    """Status of an object that could not even be parsed. Whatever runs for it goes on."""
    message = "; ".join(item.message for item in rejected)
    verdicts = [
        Verdict("Accepted", "False", rejected[0].reason, message),
        Verdict("Ready", "False", "Accepted", f"Accepted is False ({rejected[0].reason}): {message}"),
    ]
    conditions = dated(verdicts, generation, previous, now)
    upgrade = UpgradeStatus.read((previous or {}).get("upgrade"))
    kept = {} if upgrade is None else {"upgrade": upgrade}
    return _as_applied(LoadBalancerStatus(observed_generation=generation, conditions=conditions, **kept))


def _as_applied(status: LoadBalancerStatus) -> Status:
    return status.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _listener_statuses(plan: Plan, observed: Observed) -> tuple[ListenerStatus, ...]:
    # The generation shown is that of the first pod; other pods differ in who answers ARP.
    generations = {item.name: item.generation for item in plan.pods[0].listeners} if plan.pods else {}
    return tuple(
        ListenerStatus(
            name=item.listener.name,
            vip=str(item.listener.vip),
            port=item.listener.port,
            protocol=item.listener.protocol,
            generation=generations.get(item.listener.name, ""),
            programmed_pods=pods_running(plan, observed, item.listener.name),
            backends=len(item.staying),
            **_passing(item),
            **_health(plan, observed, item),
        )
        for item in plan.listeners
    )


def _passing(item: ListenerPlan) -> dict[str, Any]:
    """The fields that a listener has only while endpoints of it drain, are held by its guard, or are starting."""
    draining = len(item.backends) - len(item.staying)
    return {
        **({"draining_backends": draining} if draining else {}),
        **({"held_backends": item.held.count} if item.held is not None else {}),
        **({"starting_backends": len(item.starting.steps)} if item.starting is not None else {}),
    }


def _health(plan: Plan, observed: Observed, item: ListenerPlan) -> dict[str, Any]:
    """The fields that a listener has only while something is known of its health check."""
    reports = reports_of(plan, observed, item)
    if not reports:
        return {}
    unhealthy = unhealthy_backends(item.staying, reports)
    return {
        "healthy_backends": healthy_backends(item.staying, reports),
        **({"unhealthy": unhealthy} if unhealthy else {}),
    }


def dated(
    verdicts: Iterable[Verdict], generation: int, previous: Mapping[str, Any] | None, now: datetime
) -> tuple[Condition, ...]:
    """Conditions with their times: the time of the last change of `status`, kept while it does not change."""
    before = {
        (c["type"], c["status"]): c["lastTransitionTime"]
        for c in (previous or {}).get("conditions", ())
        if c.get("lastTransitionTime")
    }
    return tuple(
        Condition(
            type=verdict.type,
            status=verdict.status,
            observed_generation=generation,
            last_transition_time=before.get((verdict.type, verdict.status), now.replace(microsecond=0)),
            reason=str(verdict.reason),
            message=verdict.message,
        )
        for verdict in verdicts
    )
