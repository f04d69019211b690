"""Whether the forwarder knows the flows of the other pods yet: until then the pod attracts no packets, and is not ready.

It would drop the packets of connections that it does not know, and begin none: it does not know which of its ports they have.
That has an end: a forwarder waits for its peers for 30 s at most, and then says that it is complete.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from skylane_agent.errors import ForwarderError, ForwarderTimeoutError
from skylane_agent.forwarder import ForwarderClient, Stats, Sync
from skylane_agent.routes.vips import Vips

# A forwarder that starts again in place is silent for a fraction of a second: nobody is told of that.
SILENT_MS = 3000
JOINING = "the flows of the other pods are not known yet"
_ADOPTED = "adopted"
_POLL_S = 0.1
_JOINED_POLLS = 20
# Looks in a row. One alone may be of the moment in which a pod that was silent, but not gone, gets its addresses back.
_CONFLICTS = 2


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What the operator is told. `silent` are ordinals of peers; conflict: somebody else has the pod's local addresses."""

    state: Literal["joining", "complete", "conflict"]
    silent: tuple[int, ...] = ()


class SyncWatch:
    """`known` is set once it has been looked at; `changed` when `report` is another, and who tells of it clears it.

    `syncs` says whether the pod's base has it know others' flows, None while there is no base. `forwarding` says whether the
    forwarder runs, or is about to again.
    """

    def __init__(
        self,
        forwarder: ForwarderClient,
        vips: Vips,
        syncs: Callable[[], bool | None],
        forwarding: Callable[[], bool],
    ) -> None:
        self._forwarder, self._vips = forwarder, vips
        self._syncs, self._forwarding = syncs, forwarding
        self._conflicts = 0
        self.report: SyncReport | None = None  # None: nothing to be told
        self.joined = False
        self.known = asyncio.Event()
        self.changed = asyncio.Event()
        vips.hold(JOINING)

    @property
    def wanted(self) -> bool:
        """Whether the pod knows others' flows, or is to."""
        return bool(self._syncs())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await self._pause()

    async def _pause(self) -> None:
        """Until it is to be asked again: now and then, soon while it joins or is gone."""
        for _ in range(_JOINED_POLLS if self.joined else 1):
            await asyncio.sleep(_POLL_S)
            if not self._forwarding():
                return

    async def look(self) -> None:
        """Ask once, and withhold or give back what follows from it."""
        syncs = await asyncio.to_thread(self._syncs)
        if not syncs:
            self._settle(None, joined=syncs is not None)
            return
        try:
            stats = await self._forwarder.read_stats()
        except ForwarderTimeoutError:
            return  # no news
        except ForwarderError:
            if not self._forwarding():
                # Nothing is announced now. The next one has everything to learn, unless it finds the flows of this one.
                self._settle(None, joined=False)
            return
        self._judge(stats)

    def _judge(self, stats: Stats) -> None:
        if stats.sync is None:
            self._settle(None, joined=True)
            return
        silent = _silent(stats.sync)
        self._conflicts = self._conflicts + 1 if stats.sync.local_addresses == "conflict" else 0
        if self._conflicts >= _CONFLICTS:
            self._settle(SyncReport("conflict", silent), joined=False)
            return
        # Whoever had its local addresses may not have let go of them yet: replies of backends would go there.
        complete = stats.sync.state == "complete" and (self.joined or stats.sync.local_addresses == "owner")
        # One that has the flows of the process before it serves; what the others had meanwhile it gets all the same.
        joined = complete or stats.adoption.verdict == _ADOPTED
        self._settle(SyncReport("complete" if complete else "joining", silent), joined=joined)

    def _settle(self, report: SyncReport | None, *, joined: bool) -> None:
        self.joined = joined
        self._vips.hold("" if joined else JOINING)
        self.known.set()
        if report != self.report:
            self.report = report
            self.changed.set()


def _silent(sync: Sync) -> tuple[int, ...]:
    return tuple(
        sorted(one.ordinal for one in sync.peers if one.heard_ms is None or one.heard_ms > SILENT_MS)
    )
