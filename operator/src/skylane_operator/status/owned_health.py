"""The condition BackendsHealthy of a Service or Gateway that has a health check or a guard against mass removal."""

from skylane_operator.model.load_balancer import Listener
from skylane_operator.plan.observed import OwnerState
from skylane_operator.plan.owned import OwnedPlan
from skylane_operator.plan.service_types import BACKENDS_HEALTHY
from skylane_operator.plan.types import ListenerPlan
from skylane_operator.status.conditions import Verdict
from skylane_operator.status.health import passing, troubles_of, worst_of

_MAX_LISTENERS = 5
_MAX_SICK = 5  # named of each


def owned_backends_healthy(plan: OwnedPlan, state: OwnerState) -> Verdict | None:
    """None without a check and a guard: a status write for each endpoint that comes and goes would tell nobody anything."""
    watched = [one for one in plan.listeners if _is_watched(one)]
    if not watched:
        return None
    names = _names([one.listener for one in watched])
    reports = {one.listener.name: state.health.get(one.listener.name, {}) for one in watched}
    empty = [names[one.listener.name] for one in watched if not any(b.weight for b in one.backends)]
    if empty:
        reason = "NoEndpoints" if len(empty) == len(watched) else "SomeListenersEmpty"
        return _false(reason, [f"{name} has no ready endpoint with a weight above 0" for name in empty])
    troubles = [
        trouble
        for one in watched
        for trouble in troubles_of(names[one.listener.name], one, reports[one.listener.name], most=_MAX_SICK)
    ]
    if troubles:
        return _false(*worst_of(troubles))
    checked = [one for one in watched if one.listener.health_check is not None]
    untold = [names[one.listener.name] for one in checked if not reports[one.listener.name]]
    if untold:
        message = f"{_joined(untold)}: no pod has told yet what its health check finds"
        return Verdict(BACKENDS_HEALTHY, "Unknown", "NotChecked", message)
    if not checked:
        return Verdict(BACKENDS_HEALTHY, "True", "EndpointsReady", "every port has ready endpoints")
    counts = [
        f"{names[one.listener.name]}: {passing(one.staying, reports[one.listener.name])}" for one in checked
    ]
    return Verdict(BACKENDS_HEALTHY, "True", "HealthChecksPass", _joined(counts))


def _is_watched(one: ListenerPlan) -> bool:
    """Whether its owner wants to hear of its backends."""
    return one.listener.health_check is not None or one.listener.mass_removal_guard is not None


def health_awaited(plan: OwnedPlan, state: OwnerState) -> bool:
    """Whether no pod has told yet what the check of some listener finds."""
    listeners = (one.listener for one in plan.listeners)
    return any(one.health_check is not None and not state.health.get(one.name) for one in listeners)


def _names(listeners: list[Listener]) -> dict[str, str]:
    """What its owner calls a listener; with the address, if there are several."""
    several = len({one.vip for one in listeners}) > 1
    return {
        one.name: f"port {one.port}/{one.protocol}" + (f" of {one.vip}" if several else "")
        for one in listeners
    }


def _false(reason: str, texts: list[str]) -> Verdict:
    return Verdict(BACKENDS_HEALTHY, "False", reason, _joined(texts))


def _joined(texts: list[str]) -> str:
    more = len(texts) - _MAX_LISTENERS
    return "; ".join(texts[:_MAX_LISTENERS]) + (f"; and {more} more" if more > 0 else "")
