"""What the status tells beside plan and pods: how far an upgrade has come, and what names resolve to."""

from collections.abc import Iterator
from dataclasses import dataclass

from skylane_operator.model.upgrade import UpgradeStatus, UpgradeStep
from skylane_operator.plan.dns import Names
from skylane_operator.status.conditions import Verdict, false, joined, true


@dataclass(frozen=True, slots=True)
class Told:
    """`names` is None when no listener has one; `names_fault`: why they could not be written.

    `known`: it has been seen of which revision pods should be.
    """

    upgrade: UpgradeStatus | None = None
    known: bool = False
    names: Names | None = None
    names_fault: str = ""

    @property
    def verdicts(self) -> list[Verdict]:
        """Its conditions. Ready depends on none of them."""
        names = [] if self.names is None else [_dns_published(self.names, self.names_fault)]
        return [_up_to_date(self.upgrade, known=self.known), *names]


NOTHING_TOLD = Told()


def _up_to_date(upgrade: UpgradeStatus | None, *, known: bool) -> Verdict:
    """Whether every pod is what it should be; Ready does not depend on it."""
    if not known:
        message = "it has not been seen yet what pods should be, or the spec cannot be used; see the condition Accepted"
        return Verdict("UpToDate", "Unknown", "NotKnown", message)
    if upgrade is None:
        return true("UpToDate", "UpToDate", "every pod is what the spec and the operator's version ask for")
    given_up = upgrade.step in {UpgradeStep.STALLED, UpgradeStep.ROLLED_BACK}
    return false(
        "UpToDate", str(upgrade.step) if given_up else "Upgrading", f"{upgrade.step}: {upgrade.message}"
    )


def _dns_published(names: Names, fault: str) -> Verdict:
    if fault:
        return false("DNSPublished", "NotWritten", fault)
    idle = sorted({record.name for record in names.records if record.idle} | set(names.missing))
    left_out = {name: joined(list(whys), ", ") for name, whys in (names.out_of_service or {}).items()}
    if idle:
        texts = [f"{name} has no VIP in service ({left_out[name]})" for name in idle]
        return false("DNSPublished", "NothingInService", joined(texts, "; "))
    return true("DNSPublished", "Published", joined(list(_published(names, left_out)), "; "))


def _published(names: Names, left_out: dict[str, str]) -> Iterator[str]:
    for name in dict.fromkeys(record.name for record in names.records):
        targets = [target for record in names.records if record.name == name for target in record.targets]
        without = f", without {left_out[name]}" if name in left_out else ""
        yield f"{name} is {joined(targets, ', ')}{without}"
