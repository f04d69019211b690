"""Slow start: the share of an endpoint that is new grows in steps.

All endpoints of a listener step together: a rolling update of a thousand of them changes the listener once a step, not once an
endpoint and step. Listeners step each at moments of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import floor

from skylane_operator.plan.endpoints import Resolved, SocketAddress

STEPS = 10


@dataclass(frozen=True, slots=True)
class StartMemory:
    """Endpoints that were there, and of those that are still starting, in which step since `anchor_s` they came."""

    known: frozenset[SocketAddress]
    anchor_s: float = 0.0
    came: Mapping[SocketAddress, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Starting:
    """`steps` of STEPS are the share of each endpoint that is starting; the next one is due in `next_s`."""

    steps: Mapping[SocketAddress, int]
    next_s: float


@dataclass(frozen=True, slots=True)
class Started:
    """Who is starting, if anybody is, and what to remember."""

    memory: StartMemory | None = None
    starting: Starting | None = None


def started(
    resolved: Iterable[Resolved], seconds: int | None, before: StartMemory | None, now_s: float
) -> Started:
    """Who is new. Without a memory all that is there has been there."""
    if seconds is None:
        return Started()
    ready = frozenset(endpoint for one in resolved for endpoint in one.endpoints.ready)
    if before is None:
        return Started(StartMemory(ready))
    step_s = seconds / STEPS
    anchor_s = before.anchor_s if before.came else now_s
    step = floor((now_s - anchor_s) / step_s)
    came = {one: before.came.get(one, step) for one in ready if one in before.came or one not in before.known}
    came = {one: first for one, first in came.items() if step - first < STEPS}
    memory = StartMemory(ready, anchor_s, came)
    if not came:
        return Started(memory)
    # Nobody begins with nothing: the first share is that of two steps.
    shares = {one: max(1, step - first) for one, first in came.items()}
    return Started(memory, Starting(shares, anchor_s + (step + 1) * step_s - now_s))
