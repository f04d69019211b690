"""Names of VIPs that are in service, for a DNS provider (external-dns, source crd)."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from skylane_operator.model.address import IPAddress
from skylane_operator.plan.observed import AgentState, Observed
from skylane_operator.plan.types import ListenerPlan, Plan

RECORD_TYPES = {4: "A", 6: "AAAA"}


@dataclass(frozen=True, slots=True)
class Record:
    """What a name resolves to. `idle`: no VIP of the name is in service; there are all of them."""

    name: str
    type: str
    targets: tuple[str, ...]
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """`out_of_service` are VIPs, by name, that are left out, and why. `missing` are names that have no VIP yet."""

    records: tuple[Record, ...] = ()
    out_of_service: Mapping[str, tuple[str, ...]] | None = None
    missing: tuple[str, ...] = ()


def checks_awaited(plan: Plan, observed: Observed) -> bool:
    """Whether a pod has not told yet what its health checks found, of a listener that has a name."""
    named = [
        item.listener.name for item in plan.listeners if item.listener.hostname and item.listener.health_check
    ]
    ready = [agent for pod, agent in observed.agents.items() if observed.pods[pod].is_ready]
    return any(name not in agent.health for name in named for agent in ready)


def names_for(plan: Plan, observed: Observed, *, published: Container[str]) -> Names:
    """Each name with those of its VIPs that are in service.

    A name none of whose VIPs is in service keeps all of them if it is among the `published`: an answer of which one may work
    again is better than none, which resolvers remember (RFC 2308). One that is not there yet waits.
    """
    by_name: dict[str, dict[IPAddress, str]] = {}
    for item in plan.listeners:
        if item.listener.hostname is not None:
            vips = by_name.setdefault(item.listener.hostname, {})
            why = why_out_of_service(plan, observed, item)
            # Of two listeners of a VIP one is enough.
            vips[item.listener.vip] = why and vips.get(item.listener.vip, why)
    records: list[Record] = []
    missing: list[str] = []
    for name, vips in sorted(by_name.items()):
        idle = all(vips.values())
        if idle and name not in published:
            missing.append(name)
        else:
            records.extend(_records(name, vips, idle=idle))
    left_out = {
        name: tuple(f"{vip}: {why}" for vip, why in sorted_by_vip(vips) if why)
        for name, vips in sorted(by_name.items())
        if any(vips.values())
    }
    return Names(tuple(records), left_out, tuple(missing))


def sorted_by_vip(vips: Mapping[IPAddress, str]) -> list[tuple[IPAddress, str]]:
    """IPv4 first."""
    return sorted(vips.items(), key=lambda item: (item[0].version, int(item[0])))


def _records(name: str, vips: Mapping[IPAddress, str], *, idle: bool) -> Iterator[Record]:
    for version, record_type in RECORD_TYPES.items():
        targets = tuple(
            str(vip) for vip, why in sorted_by_vip(vips) if vip.version == version and (idle or not why)
        )
        if targets:
            yield Record(name, record_type, targets, idle)


def why_out_of_service(plan: Plan, observed: Observed, item: ListenerPlan) -> str:
    """Empty when a Ready pod runs the listener with a healthy backend, and announces its VIP where there are peers."""
    if not any(backend.weight for backend in item.backends):
        return "no backend"
    whys = [
        _why_not_by(plan, item, agent)
        for name, agent in sorted(observed.agents.items())
        if name in observed.pods and observed.pods[name].is_ready
    ]
    return next((why for why in whys if not why), whys[0]) if whys else "no pod is Ready"


def _why_not_by(plan: Plan, item: ListenerPlan, agent: AgentState) -> str:
    listener, report = item.listener, agent.health.get(item.listener.name)
    running = agent.listeners.get(listener.name)
    if running is None or not running.generation:
        return "not programmed yet"
    if report is not None and report.unhealthy >= len(item.staying):
        return "no healthy backend"
    if plan.load_balancer.spec.advertisement is None:
        return ""
    said = agent.advertisement
    if said is None or not said.announced or not any(session.established for session in said.sessions):
        return "not announced"
    return dict(said.reasons).get(str(listener.vip), "")
