"""The mass-removal guard: a listener does not lose too large a share of its endpoints until the loss has lasted a while.

What is lost is counted, not who: where others have come instead, as in a rolling update, nothing is lost. A slice holds a hundred
endpoints, so that the loss of a thousand comes in many small steps: it is measured by what there was before the first of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from skylane_operator.model.listener_policy import MassRemovalGuard
from skylane_operator.plan.endpoints import Endpoints, Resolved, SocketAddress

_NONE: frozenset[SocketAddress] = frozenset()
Sets = Mapping[str, frozenset[SocketAddress]]  # ready endpoints by what the listener refers to


@dataclass(frozen=True, slots=True)
class GuardMemory:
    """What the next look at the listener has to know of this one.

    `base` is what a loss is measured by, `last` what got new connections, the held ones included. `lost_since_s` is when the first
    of `base` was lost, `held_since_s` when it became too many; None: not so.
    """

    base: Sets
    last: Sets
    lost_since_s: float | None = None
    held_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """`count` endpoints that are not ready any more stay backends, for `remaining_s` yet; `lost` of `total` are too many."""

    count: int
    lost: int
    total: int
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a listener leads to, once its guard has looked."""

    resolved: tuple[Resolved, ...]
    memory: GuardMemory | None = None
    held: Held | None = None


def guarded(
    resolved: Iterable[Resolved], guard: MassRemovalGuard | None, before: GuardMemory | None, now_s: float
) -> Guarded:
    """Hold what would be too large a loss, or let it happen. Without a memory, all is as it should be."""
    found = tuple(resolved)
    if guard is None:
        return Guarded(found)
    ready = {one.reference: one.endpoints.ready for one in found}
    base, lost_since_s = _base(guard, before, now_s)
    # A reference that its owner removes, adds or gives the weight 0 is no accident.
    counted = {one.reference for one in found if one.weight} & base.keys()
    total = sum(len(base[reference]) for reference in counted)
    lost = total - sum(len(ready[reference]) for reference in counted)
    if lost <= 0:
        return Guarded(found, GuardMemory(ready, ready))
    since_s = now_s if lost_since_s is None else lost_since_s
    measured = {
        reference: base[reference] if reference in counted else ready[reference] for reference in ready
    }
    if lost * 100 <= guard.max_share_percent * total:
        return Guarded(found, GuardMemory(measured, ready, since_s))
    held_since_s = now_s if before is None or before.held_since_s is None else before.held_since_s
    remaining_s = held_since_s + guard.confirm_seconds - now_s
    if remaining_s <= 0:
        return Guarded(found, GuardMemory(ready, ready))
    last = before.last if before is not None else ready
    held = {
        reference: (base[reference] & last.get(reference, _NONE)) - ready[reference] for reference in counted
    }
    kept = tuple(_with(one, held.get(one.reference, _NONE)) for one in found)
    running = {one.reference: one.endpoints.ready for one in kept}
    return Guarded(
        kept,
        GuardMemory(measured, running, since_s, held_since_s),
        Held(sum(map(len, held.values())), lost, total, remaining_s),
    )


def _base(guard: MassRemovalGuard, before: GuardMemory | None, now_s: float) -> tuple[Sets, float | None]:
    """What a loss is measured by, and since when some of it is lost. Small losses are forgotten after a while."""
    if before is None:
        return {}, None
    if before.lost_since_s is None or before.held_since_s is not None:
        return before.base, before.lost_since_s
    if now_s - before.lost_since_s < guard.confirm_seconds:
        return before.base, before.lost_since_s
    return before.last, None


def _with(one: Resolved, held: frozenset[SocketAddress]) -> Resolved:
    if not held:
        return one
    return replace(one, endpoints=Endpoints(one.endpoints.ready | held, one.endpoints.draining - held))
