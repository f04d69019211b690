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
    outcomes in a row that say otherwise, `missed` the probes in a row that were not made; `obstacle` says why, once they are as
    many as would have made it sick.
    """

    healthy: bool = True
    reason: str = ""
    contrary: int = 0
    missed: int = 0
    obstacle: str = ""


def sick_because(reason: str | None) -> Verdict:
    """What was believed before: sick for a reason, or, with None, healthy."""
    return Verdict() if reason is None else Verdict(healthy=False, reason=reason)


def judged(before: Verdict, outcome: Outcome, check: Check) -> Verdict:
    """The verdict after one more outcome. Only outcomes in a row turn it, never as many of a longer time."""
    if outcome.kind == "not_made":
        missed = before.missed + 1
        known = missed >= check.unhealthy_threshold
        return replace(before, missed=missed, obstacle=outcome.reason if known else before.obstacle)
    passed = outcome.kind == "passed"
    if passed == before.healthy:
        return replace(before, contrary=0, missed=0, obstacle="")
    contrary = before.contrary + 1
    needed = check.healthy_threshold if passed else check.unhealthy_threshold
    if contrary < needed:
        return replace(before, contrary=contrary, missed=0, obstacle="")
    return Verdict() if passed else Verdict(healthy=False, reason=outcome.reason)
