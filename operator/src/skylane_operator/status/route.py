"""The status of a TCPRoute or UDPRoute: our entries of a list that every controller of a parent writes to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skylane_operator.model.gateway import CONTROLLER_NAME, Route
from skylane_operator.model.readable import readable_status
from skylane_operator.plan.gateway_routes import Backends, RouteFault, RouteReason
from skylane_operator.status.build import Status, dated
from skylane_operator.status.conditions import Verdict

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """What became of one entry of a route's parentRefs, which refers to a Gateway of ours.

    `refusal` is None if the route is attached.
    """

    reference: Mapping[str, Any]
    refusal: RouteFault | None


def route_status(route: Route, parents: tuple[ParentFacts, ...], backends: Backends, now: datetime) -> Status:
    """Whole status of the route: the entries of others as they are, and in their places, ours.

    The list is atomic: who applies it replaces all of it, and so must have read the very version that he replaces.
    """
    before: list[Json] = route.status.get("parents") or []
    ours = {
        _identity(one.get("parentRef")): one for one in before if one["controllerName"] == CONTROLLER_NAME
    }
    wanted = {_identity(one.reference): _entry(route, one, backends, ours, now) for one in parents}
    kept = [
        entry if entry["controllerName"] != CONTROLLER_NAME else wanted.pop(_identity(entry.get("parentRef")))
        for entry in before
        if entry["controllerName"] != CONTROLLER_NAME or _identity(entry.get("parentRef")) in wanted
    ]
    return {"parents": [*kept, *wanted.values()]}


def current_route_status(route: Route) -> Status:
    """Its status as far as it is written: in the form of `route_status`."""
    return {"parents": route.status.get("parents") or []}


def is_reported(route: Route) -> bool:
    """Whether its status has entries of ours."""
    return any(one["controllerName"] == CONTROLLER_NAME for one in route.status.get("parents") or ())


def _identity(reference: object) -> str:
    # Text, because a later version of Gateway API may put anything into a reference.
    return json.dumps(reference, sort_keys=True)


def _entry(
    route: Route, parent: ParentFacts, backends: Backends, ours: Mapping[str, Json], now: datetime
) -> Json:
    verdicts = [_accepted(parent), _resolved(backends)]
    previous = readable_status(ours.get(_identity(parent.reference)))
    conditions = dated(verdicts, route.metadata.generation, previous, now)
    return {
        "parentRef": dict(parent.reference),
        "controllerName": CONTROLLER_NAME,
        "conditions": [one.model_dump(mode="json", by_alias=True) for one in conditions],
    }


def _accepted(parent: ParentFacts) -> Verdict:
    if parent.refusal is not None:
        return Verdict("Accepted", "False", str(parent.refusal.reason), parent.refusal.message)
    return Verdict("Accepted", "True", str(RouteReason.ACCEPTED), "it is attached")


def _resolved(backends: Backends) -> Verdict:
    if backends.faults:
        message = "; ".join(fault.message for fault in backends.faults)
        return Verdict("ResolvedRefs", "False", str(backends.faults[0].reason), message)
    return Verdict(
        "ResolvedRefs", "True", str(RouteReason.RESOLVED_REFS), "all its backendRefs lead to a Service"
    )
