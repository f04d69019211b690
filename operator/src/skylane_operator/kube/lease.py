"""Leadership by a Lease: taken, renewed, lost and given back, with a task that runs for as long as it is held.

See `election` for the rules. Every write names the resourceVersion that it was decided on, so of two candidates one is refused.
All requests are made in a thread of their own: whoever plans for thousands of Services at once must not lose the Lease by it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from skylane_operator.backoff import delays
from skylane_operator.errors import ApiConflictError, ApiError, ApiNotFoundError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.election import Election, Record, Timing
from skylane_operator.kube.resource import LEASE
from skylane_operator.model.key import Key
from skylane_operator.waiting import LoopThread

Json = dict[str, Any]

RELEASE_TIMEOUT_S = 2.0
# A Lease whose holder promises nothing; client-go releases one with this, too.
_LEAST_DURATION_S = 1

_log = logging.getLogger(__name__)


def _now_s() -> float:
    """Unlike time.monotonic() it goes on while the machine sleeps: what was held before is then over."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """One candidate. `client` is used in our thread, and by nobody else; it is closed at the end."""

    def __init__(
        self,
        client: KubeClient,
        key: Key,
        identity: str,
        timing: Timing,
        now_s: Callable[[], float] = _now_s,
    ) -> None:
        self._client, self._key = client, key
        self._timing, self._now_s = timing, now_s
        self._election = Election(identity, self._timing)
        self._body: Json | None = None  # the Lease as last read or written
        self._trouble = False
        self.holder = ""  # as last seen; empty: nobody
        self.last_turn = time.monotonic()  # our thread did anything at all
        self._last_beat_s = 0.0  # the loop in which `lead` runs did

    def held(self) -> bool:
        """Whether we lead at this moment."""
        return self._remaining_s() > 0

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Until cancelled: run `lead` whenever the Lease is ours, and cancel it when that ends; give the Lease back at the end.

        `lead` is awaited before the Lease is given back. What it raises ends us, but for ApiError: then others get their chance
        before we try again.
        """
        async with LoopThread("lease") as there:
            try:
                await self._take_turns(there, lead)
            finally:
                await there.start(self._release())
                await there.start(self._client.aclose())

    async def _take_turns(self, there: LoopThread, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        waits = delays()
        while True:
            await there.start(self._until_taken())
            _log.info("leading: %s holds Lease %s", self._election.identity, self._key)
            try:
                await self._lead(there, lead)
            except ApiError as error:
                _log.warning("could not lead: %s", error)
                await there.start(self._release())
                await asyncio.sleep(next(waits))
            else:
                _log.warning("Lease %s is lost; waiting for it", self._key)
                waits = delays()

    async def _lead(self, there: LoopThread, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._beat()
        lost = there.start(self._until_lost(asyncio.get_running_loop()))
        task = asyncio.create_task(lead())
        try:
            await asyncio.wait({lost, task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The Lease is renewed until nothing is done any more on the strength of it.
            task.cancel()
            await asyncio.wait({task})
            lost.cancel()
        for ended in (task, lost):
            if not ended.cancelled():
                ended.result()

    def _beat(self) -> None:
        self._last_beat_s = self._now_s()

    # What follows runs in our thread.

    async def _until_taken(self) -> None:
        while True:
            if await self._tried(self._timing.deadline_s) and self.held():
                return
            await asyncio.sleep(self._election.next_look_s(self._now_s()))

    async def _until_lost(self, leading: asyncio.AbstractEventLoop) -> None:
        pause_s = self._timing.renew_s
        while self.held():
            asked_s = self._now_s()
            leading.call_soon_threadsafe(self._beat)
            await asyncio.sleep(min(pause_s, self._remaining_s()))
            if self._last_beat_s < min(asked_s, self._now_s() - self._timing.stuck_s):
                _log.error(
                    "Lease %s is not renewed: nothing has moved here for %g s",
                    self._key,
                    self._timing.stuck_s,
                )
                self._election.gave_up()
            elif remaining_s := self._remaining_s():
                renewed = await self._tried(remaining_s)
                pause_s = self._timing.renew_s if renewed else self._timing.hurry_s

    def _remaining_s(self) -> float:
        return self._election.leads_for_s(self._now_s())

    async def _tried(self, timeout_s: float) -> bool:
        """Take or renew the Lease, if it is free or ours and the API server says so in time."""
        self.last_turn = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                taken = await self._attempt()
        except (ApiError, TimeoutError) as error:
            if not self._trouble:  # once, not twice a second
                _log.warning("Lease %s: %s", self._key, str(error) or f"no answer within {timeout_s:.1f} s")
            self._trouble = True
            return False
        self._trouble = False
        return taken

    async def _attempt(self) -> bool:
        # A leader knows what it wrote last; a write that is refused shows that it is so no longer.
        if self._body is None or not self.held():
            self._body = await self._read()
            self._election.saw(_record_in(self._body) if self._body else None, self._now_s())
            self._note_holder()
            if not self._election.may_take(self._now_s()):
                return False
        asked_s = self._now_s()
        try:
            self._body = await self._write(self._body, self._election.identity, self._timing.duration_s)
        except (ApiConflictError, ApiNotFoundError):
            self._body = None
            return False
        self._election.wrote(_record_in(self._body), asked_s)
        return True

    def _note_holder(self) -> None:
        if self._election.holder != self.holder:
            self.holder = self._election.holder
            _log.info("Lease %s is held by %s", self._key, self.holder or "nobody")

    async def _release(self) -> None:
        """Tell the others at once. If that fails they wait for the end of the Lease."""
        if not self.held():
            return
        self._election.gave_up()
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._give_back()
        except (ApiError, TimeoutError) as error:
            _log.warning("Lease %s could not be given back: %s", self._key, error)

    async def _give_back(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            with suppress(ApiConflictError):
                await self._write(body, "", _LEAST_DURATION_S)
                return
        # A renewal whose answer we did not wait for may have come before us.
        body = await self._read()
        if body is not None and _record_in(body).holder == self._election.identity:
            await self._write(body, "", _LEAST_DURATION_S)

    async def _read(self) -> Json | None:
        try:
            return await self._client.request("GET", LEASE.path(self._key))
        except ApiNotFoundError:
            return None

    async def _write(self, current: Json | None, holder: str, duration_s: int) -> Json:
        body: Json = {
            "apiVersion": LEASE.group_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._key.name, "namespace": self._key.namespace},
            "spec": _spec_for((current or {}).get("spec") or {}, holder, duration_s, datetime.now(UTC)),
        }
        if current is None:
            return await self._client.request("POST", LEASE.collection_path(self._key.namespace), body=body)
        body["metadata"] = current["metadata"]  # with its resourceVersion: refused if it changed meanwhile
        return await self._client.request("PUT", LEASE.path(self._key), body=body)


def _spec_for(current: Json, holder: str, duration_s: int, now: datetime) -> Json:
    time_text = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {**current, "holderIdentity": holder, "leaseDurationSeconds": duration_s, "renewTime": time_text}
    if holder and holder != current.get("holderIdentity"):
        spec["acquireTime"] = time_text
        spec["leaseTransitions"] = current.get("leaseTransitions", 0) + bool(current)
    return spec


def _record_in(body: Json) -> Record:
    spec = body.get("spec") or {}
    return Record(
        version=body["metadata"]["resourceVersion"],
        holder=spec.get("holderIdentity") or "",
        duration_s=spec.get("leaseDurationSeconds") or _LEAST_DURATION_S,
    )
