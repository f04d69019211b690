"""What is wrong with backends: what the pods' health checks say together, and that nobody else is left."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from skylane_operator.model.forwarder import ForwarderBackend
from skylane_operator.model.load_balancer import UnhealthyBackend
from skylane_operator.plan.observed import AgentHealth, Observed
from skylane_operator.plan.types import ListenerPlan, Plan

MAX_SHOWN = 10  # backends of a listener
TROUBLE_ORDER = ("Panic", "MassRemovalHeld", "AllTerminating", "HealthChecksNotMade", "HealthChecksFailing")
_MAX_PODS = 3

Reports = Mapping[str, AgentHealth]
Backends = Sequence[ForwarderBackend]


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


def healthy_backends(backends: Backends, reports: Reports) -> int:
    """As the pod sees it that sees the fewest. An endpoint that an agent does not know yet counts as healthy, as it will there."""
    return max(0, len(backends) - max(report.unhealthy for report in reports.values()))


def unhealthy_backends(
    backends: Backends, reports: Reports, most: int = MAX_SHOWN
) -> tuple[UnhealthyBackend, ...]:
    """At most so many of those that the agents name, by address; the reason is that of the first pod."""
    seen: dict[tuple[str, int], list[str]] = {}
    reasons: dict[tuple[str, int], str] = {}
    for pod, report in reports.items():
        for sick in report.sick:
            seen.setdefault((sick.address, sick.port), []).append(pod)
            reasons.setdefault((sick.address, sick.port), sick.reason)
    shown = [backend for backend in backends if (backend.address, backend.port) in seen][:most]
    return tuple(
        UnhealthyBackend(
            address=backend.address,
            port=backend.port,
            pods=tuple(seen[backend.address, backend.port][:_MAX_PODS]),
            reason=reasons[backend.address, backend.port],
        )
        for backend in shown
    )


def backend_troubles(plan: Plan, observed: Observed) -> Iterator[tuple[str, str]]:
    """Reason and message of everything that is wrong with the backends, listener by listener."""
    for item in plan.listeners:
        yield from troubles_of(
            f"listener {item.listener.name}", item, reports_of(plan, observed, item), most=1
        )


def troubles_of(name: str, item: ListenerPlan, reports: Reports, most: int) -> Iterator[tuple[str, str]]:
    """Reason and message of everything that is wrong with one listener's backends; of the sick at most so many are named."""
    guard = item.listener.mass_removal_guard
    if item.held is not None and guard is not None:
        yield (
            "MassRemovalHeld",
            (
                f"{name}: {item.held.lost} of {item.held.total} endpoints would be lost at once, more than "
                f"{guard.max_share_percent} %; {item.held.count} that are not ready stay backends until it has lasted "
                f"{guard.confirm_seconds} s, or enough are back"
            ),
        )
    if item.last_resort:
        count = sum(backend.weight > 0 for backend in item.backends)
        yield (
            "AllTerminating",
            f"{name}: no endpoint is ready; {count} that terminate but still serve take new connections",
        )
    yield from _sick(name, item.staying, reports, most)


def _sick(name: str, backends: Backends, reports: Reports, most: int) -> Iterator[tuple[str, str]]:
    for pod, report in reports.items():
        if report.obstacle:
            yield "HealthChecksNotMade", f"{name}: pod {pod} cannot make its health check: {report.obstacle}"
    if not any(report.unhealthy for report in reports.values()):
        return
    counts = passing(backends, reports)
    examples = "".join(
        f"; {backend.address}:{backend.port} as {', '.join(backend.pods)} sees it: {backend.reason}"
        for backend in unhealthy_backends(backends, reports, most)
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


def passing(backends: Backends, reports: Reports) -> str:
    """How many are healthy, in words."""
    return f"{healthy_backends(backends, reports)} of {len(backends)} backends pass the health check"


def worst_of(troubles: Iterable[tuple[str, str]]) -> tuple[str, list[str]]:
    """The reason that comes first of those that are there, and all that is said, in the order of the reasons."""
    found = sorted(troubles, key=lambda trouble: TROUBLE_ORDER.index(trouble[0]))
    return found[0][0], [text for _, text in found]
