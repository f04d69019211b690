"""What the pods' health checks say together."""

from collections.abc import Iterator

from skylane_operator.model.load_balancer import UnhealthyBackend
from skylane_operator.plan.observed import AgentHealth, Observed
from skylane_operator.plan.types import ListenerPlan, Plan

MAX_SHOWN = 10  # backends of a listener
_MAX_PODS = 3

Reports = dict[str, AgentHealth]


def reports_of(plan: Plan, observed: Observed, item: ListenerPlan) -> Reports:
    """What each pod found about a listener, by the pod's name; of an agent that is away, what it last said."""
    if item.listener.health_check is None:
        return {}
    agents = ((pod.name, observed.agents.get(pod.name)) for pod in plan.pods)
    return {
        name: agent.health[item.listener.name]
        for name, agent in agents
        if agent is not None and item.listener.name in agent.health
    }


def healthy_backends(item: ListenerPlan, reports: Reports) -> int:
    """As the pod sees it that sees the fewest. An endpoint that an agent does not know yet counts as healthy, as it will there."""
    return max(0, len(item.backends) - max(report.unhealthy for report in reports.values()))


def unhealthy_backends(item: ListenerPlan, reports: Reports) -> tuple[UnhealthyBackend, ...]:
    """At most MAX_SHOWN of those that the agents name, by address; the reason is that of the first pod."""
    seen: dict[tuple[str, int], list[str]] = {}
    reasons: dict[tuple[str, int], str] = {}
    for pod, report in reports.items():
        for sick in report.sick:
            seen.setdefault((sick.address, sick.port), []).append(pod)
            reasons.setdefault((sick.address, sick.port), sick.reason)
    shown = [backend for backend in item.backends if (backend.address, backend.port) in seen][:MAX_SHOWN]
    return tuple(
        UnhealthyBackend(
            address=backend.address,
            port=backend.port,
            pods=tuple(seen[backend.address, backend.port][:_MAX_PODS]),
            reason=reasons[backend.address, backend.port],
        )
        for backend in shown
    )


def health_troubles(plan: Plan, observed: Observed) -> Iterator[tuple[str, str]]:
    """Reason and message of everything that the checks complain of, listener by listener."""
    for item in plan.listeners:
        reports = reports_of(plan, observed, item)
        if reports:
            yield from _troubles(item, reports)


def _troubles(item: ListenerPlan, reports: Reports) -> Iterator[tuple[str, str]]:
    name = f"listener {item.listener.name}"
    for pod, report in reports.items():
        if report.obstacle:
            yield "HealthChecksNotMade", f"{name}: pod {pod} cannot make its health check: {report.obstacle}"
    if not any(report.unhealthy for report in reports.values()):
        return
    counts = f"{healthy_backends(item, reports)} of {len(item.backends)} backends pass the health check"
    examples = "".join(
        f"; {backend.address}:{backend.port} as {', '.join(backend.pods)} sees it: {backend.reason}"
        for backend in unhealthy_backends(item, reports)[:1]
    )
    panicking = [pod for pod, report in reports.items() if report.panic]
    if panicking:
        more = f" and {len(panicking) - 1} more" if len(panicking) > 1 else ""
        yield (
            "Panic",
            f"{name}: {counts}, so few that pod {panicking[0]}{more} sends to all of them{examples}",
        )
    else:
        yield "HealthChecksFailing", f"{name}: {counts}{examples}"
