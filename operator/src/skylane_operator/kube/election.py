"""Who may lead, by what one candidate has seen of the Lease. Pure: the time is an argument, of a clock of this machine.

The rules are client-go's. Clocks of two machines are never compared, and a clock that is set does no harm: `renewTime` is for
people to read. A candidate counts from when it saw the Lease change; the leader counts from before it asked for its last
renewal, and gives up earlier than any candidate can have counted to the end::

    leader      asks ─── renewed ─── gives up (asked + deadline_s)
    candidate                 sees ──────────────────────── may take it (seen + duration_s)
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A leader that dies is followed after `duration_s` + `retry_s` at most."""

    duration_s: int  # written into the Lease, which holds whole seconds
    deadline_s: float
    renew_s: float  # between two renewals
    retry_s: float = 0.5  # between two looks of a candidate
    hurry_s: float = 0.25  # between two attempts of a leader after one that failed
    stuck_s: float = 10.0  # a leader that has done nothing for so long renews no longer


def timing_for(duration_s: int) -> Timing:
    """What suits a Lease of this duration: room for a renewal or two that fail, and for a leader to end its work."""
    return Timing(duration_s, deadline_s=duration_s * 0.8, renew_s=duration_s / 4)


@dataclass(frozen=True, slots=True)
class Record:
    """What the Lease says. `version` is its resourceVersion, `holder` is empty after a release."""

    version: str
    holder: str
    duration_s: float


class Election:
    """What one candidate knows. The time given must never go back."""

    def __init__(self, identity: str, timing: Timing) -> None:
        self.identity = identity
        self._timing = timing
        self._seen: Record | None = None
        self._seen_s = 0.0
        self._until_s = -math.inf

    @property
    def holder(self) -> str:
        """Who held the Lease when last seen; empty for nobody."""
        return self._seen.holder if self._seen else ""

    def saw(self, record: Record | None, now_s: float) -> None:
        """The Lease was read. One that has been deleted (None) frees nobody: its holder may believe in it for a while."""
        if record is None or (self._seen and self._seen.version == record.version):
            return
        self._seen, self._seen_s = record, now_s
        if record.holder != self.identity:
            self.gave_up()

    def wrote(self, record: Record, asked_s: float) -> None:
        """Our taking or renewal, asked for at that time, was accepted."""
        self._seen, self._seen_s = record, asked_s
        self._until_s = asked_s + self._timing.deadline_s

    def gave_up(self) -> None:
        """We lead no longer, whatever the Lease says."""
        self._until_s = -math.inf

    def may_take(self, now_s: float) -> bool:
        """Whether the Lease is free: nobody's, ours, or not renewed for as long as its holder promised."""
        return self._free_s() <= now_s

    def leads_for_s(self, now_s: float) -> float:
        """Seconds for which we may still act as the leader; 0 if we may not."""
        return max(self._until_s - now_s, 0.0)

    def next_look_s(self, now_s: float) -> float:
        """Seconds until a candidate should look again."""
        remaining_s = self._free_s() - now_s
        return min(remaining_s, self._timing.retry_s) if remaining_s > 0 else self._timing.retry_s

    def _free_s(self) -> float:
        if self._seen is None or self._seen.holder in ("", self.identity):
            return -math.inf
        return self._seen_s + self._seen.duration_s
