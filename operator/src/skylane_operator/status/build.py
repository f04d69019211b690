"""The whole status of a LoadBalancer, as it is applied."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from skylane_operator.plan.listeners import distinct_endpoints
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.types import Plan, Rejected
from skylane_operator.status.conditions import Verdict, verdicts_for
from skylane_operator.status.programmed import pods_running

Status = dict[str, Any]


def status_for(plan: Plan, observed: Observed, previous: Mapping[str, Any] | None, now: datetime) -> Status:
    """Status of a plan. `previous` is the status of the object as last read; `now` has a time zone."""
    generation = plan.load_balancer.metadata.generation
    ready = sum(pod.is_ready for pod in observed.pods.values())
    return {
        "observedGeneration": generation,
        "conditions": _dated(verdicts_for(plan, observed), generation, previous, now),
        "vips": ",".join(dict.fromkeys(str(item.listener.vip) for item in plan.listeners)),
        "replicas": f"{ready}/{plan.load_balancer.spec.replicas}",
        "backends": len(distinct_endpoints(plan.listeners)),
        "listeners": _listener_statuses(plan, observed),
    }


def conditions_for(
    plan: Plan, observed: Observed, previous: Mapping[str, Any] | None, now: datetime
) -> list[dict[str, Any]]:
    """The conditions alone."""
    return _dated(verdicts_for(plan, observed), plan.load_balancer.metadata.generation, previous, now)


def rejected_status_for(
    rejected: tuple[Rejected, ...], generation: int, previous: Mapping[str, Any] | None, now: datetime
) -> Status:
    """Status of an object that could not even be parsed. Whatever runs for it goes on."""
    message = "; ".join(item.message for item in rejected)
    verdicts = [
        Verdict("Accepted", "False", rejected[0].reason, message),
        Verdict("Ready", "False", "Accepted", f"Accepted is False ({rejected[0].reason}): {message}"),
    ]
    return {"observedGeneration": generation, "conditions": _dated(verdicts, generation, previous, now)}


def _listener_statuses(plan: Plan, observed: Observed) -> list[dict[str, Any]]:
    # The generation shown is that of the first pod; other pods differ in who answers ARP.
    generations = {item.name: item.generation for item in plan.pods[0].listeners} if plan.pods else {}
    return [
        {
            "name": item.listener.name,
            "vip": str(item.listener.vip),
            "port": item.listener.port,
            "protocol": str(item.listener.protocol),
            "generation": generations.get(item.listener.name, ""),
            "programmedPods": pods_running(plan, observed, item.listener.name),
            "backends": len(item.backends),
        }
        for item in plan.listeners
    ]


def _dated(
    verdicts: Iterable[Verdict], generation: int, previous: Mapping[str, Any] | None, now: datetime
) -> list[dict[str, Any]]:
    """Conditions with their times: the time of the last change of `status`, kept while it does not change."""
    before = {
        (c["type"], c["status"]): c["lastTransitionTime"] for c in (previous or {}).get("conditions", ())
    }
    return [
        {
            "type": verdict.type,
            "status": verdict.status,
            "observedGeneration": generation,
            "lastTransitionTime": before.get((verdict.type, verdict.status), _timestamp(now)),
            "reason": str(verdict.reason),
            "message": verdict.message,
        }
        for verdict in verdicts
    ]


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
