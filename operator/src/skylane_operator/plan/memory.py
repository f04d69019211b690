"""What plans know of what was before, besides the inputs: of those listeners only that ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skylane_operator.plan.removal_guard import GuardMemory
from skylane_operator.plan.slow_start import StartMemory


@dataclass(frozen=True, slots=True)
class Memory:
    """What the next look at a listener has to know of this one."""

    guard: GuardMemory | None = None
    start: StartMemory | None = None


NO_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What there was before, by name of a listener, and the clock, whose zero means nothing."""

    memories: Mapping[str, Memory] = field(default_factory=dict)
    now_s: float = 0.0


NOTHING = Earlier()
