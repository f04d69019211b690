"""From the outcomes of probes to what is believed of a backend. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from skylane_agent.health.check import Check


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one probe. `not_made`: the fault is on our side, and says nothing about the backend."""

    kind: Literal["passed", "failed", "not_made"]
    reason: str = ""


PASSED = Outcome("passed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is believed of a backend: at first that it is healthy.

    `reason` is that of the probe that made it sick, until it is healthy again: later ones may alternate. `contrary` counts the
    outcomes in a row that say otherwise. `obstacle` says why the last probe was not made.
    """

    healthy: bool = True
    reason: str = ""
    contrary: int = 0
    obstacle: str = ""


def sick_because(reason: str | None) -> Verdict:
    """What was believed before: sick for a reason, or, with None, healthy."""
    return Verdict() if reason is None else Verdict(healthy=False, reason=reason)


def judged(before: Verdict, outcome: Outcome, check: Check) -> Verdict:
    """The verdict after one more outcome. Only outcomes in a row turn it, never as many of a longer time."""
    if outcome.kind == "not_made":
        return replace(before, obstacle=outcome.reason)
    passed = outcome.kind == "passed"
    if passed == before.healthy:
        return replace(before, contrary=0, obstacle="")
    contrary = before.contrary + 1
    needed = check.healthy_threshold if passed else check.unhealthy_threshold
    if contrary < needed:
        return replace(before, contrary=contrary, obstacle="")
    return Verdict() if passed else Verdict(healthy=False, reason=outcome.reason)
