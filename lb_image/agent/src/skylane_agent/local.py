"""The pod's side of the contract: what is on disk, the forwarder beside it, and where the two agree."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from skylane_agent.config_dir import ConfigDir, OnDisk
from skylane_agent.errors import ConfigDirError, ForwarderError
from skylane_agent.forwarder import ForwarderClient, LoadFault, Status
from skylane_agent.health.checked import Checked, Sick
from skylane_agent.listener_files import ListenerFiles
from skylane_agent.routes.vips import Serving, Vips
from skylane_agent.waiting import first_of
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

log = logging.getLogger(__name__)

_FILE_IS_GONE = "runs, but its file is gone from the configuration directory"
_RETRY_S = 5.0
_NOTHING = pb.Delta()
_POLL_S = 0.2  # until the forwarder listens, and until it runs
# A forwarder that is started again in place is back within some 200 ms, with its flows. Routers that were told of its end
# would send these to other pods, which do not know them.
_GRACE_S = 1.0
_GRACE_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Running:
    """What the forwarder runs; `listeners` maps name to generation."""

    base_generation: str
    listeners: dict[str, str] = field(default_factory=dict)


class LocalState:
    """Applies deltas, follows the forwarder over its restarts, and says what is true now.

    `known` is set once the directory has been read and the forwarder, if it is there, has been asked.
    `changed` is set whenever what runs has changed otherwise than by `apply`; who reports it clears it.
    `checks_changed` is told the listeners whose health check or backends have changed, or came or went, `vips` what all listeners
    are up to: never of the moment between a file and its load, when nothing is wrong with what runs.
    """

    def __init__(
        self,
        config_dir: ConfigDir,
        forwarder: ForwarderClient,
        checks_changed: Callable[[Iterable[str]], None],
        vips: Vips,
    ) -> None:
        self._files = ListenerFiles(config_dir)
        self._forwarder = forwarder
        self._checks_changed = checks_changed
        self._vips = vips
        self._running: Running | None = None
        self._errors: dict[str, str] = {}
        self._doubt = asyncio.Event()  # the forwarder did not answer a load: ask what it runs
        self._lock = asyncio.Lock()  # the directory and what is made of it have one writer
        self._grace: asyncio.TimerHandle | None = None  # what ran has ended, and nobody is told yet
        self._untold: set[str] = set()  # listeners that `vips` is to be told of when that is over
        self.known = asyncio.Event()
        self.changed = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether the forwarder is known to forward."""
        return self._running is not None

    @property
    def forwarding(self) -> bool:
        """Whether it forwards, or is being started again at once."""
        return self.running or self._grace is not None

    @property
    def base_generation(self) -> str:
        """Of the base that runs; empty while none does."""
        return self._running.base_generation if self._running else ""

    @property
    def checked(self) -> Mapping[str, Checked]:
        """The listeners that have a health check, as they are on disk."""
        return self._files.checked

    def listener_states(self, among: Collection[str] | None = None) -> list[pb.ListenerState]:
        """One per listener that is on disk, runs, or failed to, of those `among` (None: of all).

        Its generation is empty if it does not run.
        """
        running = self._running.listeners if self._running else {}
        known = (self._files.on_disk, running, self._errors)
        if among is None:
            names = sorted({name for those in known for name in those})
        else:
            names = sorted(name for name in among if any(name in those for those in known))
        return [
            pb.ListenerState(
                name=name,
                generation=self._files.reported(name, running.get(name, "")),
                error=self._errors.get(name, ""),
                arp=self._files.on_disk.get(name, OnDisk()).arp,
            )
            for name in names
        ]

    async def apply(self, delta: pb.Delta) -> None:
        """Write a delta to disk and have the forwarder take over what was written.

        A listener that fails raises nothing: its error is in `listener_states`, the others are applied. The file of
        one that the forwarder refuses becomes what it was: a forwarder that starts again finds what last worked.
        """
        async with self._lock:
            await self._apply(delta)

    async def _apply(self, delta: pb.Delta) -> None:
        names = {listener.name for listener in delta.upserts} | set(delta.removals)
        before = self.checked.keys()
        failures, undo = await asyncio.to_thread(self._files.write, delta)
        self._errors = {name: text for name, text in self._errors.items() if name not in names} | failures
        if self._running is not None:
            await self._load(names - failures.keys())
            refused = self._errors.keys() - failures.keys()
            await asyncio.to_thread(self._files.put_back, undo, refused & names)
        self._tell_vips(names)
        self._checks_changed(names & (before | self.checked.keys()))

    async def retry(self) -> None:
        """Write what a full or read-only disk did not take, again and again; never returns.

        The operator does not send twice what was not taken, and may be away when there is room again.
        """
        while True:
            await asyncio.sleep(_RETRY_S)
            async with self._lock:
                unwritten = self._files.unwritten
                if unwritten == _NOTHING:
                    continue
                await self._apply(unwritten)
            if self._files.unwritten != unwritten:
                self.changed.set()

    async def mark(self, sick: Mapping[str, Sick]) -> bool:
        """Take away the weights of sick backends, by listener, and give back those of all others.

        False if a file could not be written: it is then as it was.
        """
        async with self._lock:
            failures = await asyncio.to_thread(self._files.mark, sick)
            for name, reason in failures.items():
                log.error("listener %s: its unhealthy backends cannot be written: %s", name, reason)
            if self._running is not None:
                running, on_disk = self._running.listeners, self._files.on_disk
                # In a panic all weights are as they were. A listener that does not run was refused.
                await self._load(
                    name
                    for name in sick
                    if name in running and running[name] != on_disk.get(name, OnDisk()).generation
                )
            self._tell_vips(sick)
            return not failures

    def _tell_vips(self, names: Iterable[str]) -> None:
        if self._grace is not None:
            self._untold.update(names)  # when it is over
            return
        running, on_disk = self._running.listeners if self._running else {}, self._files.on_disk
        self._vips.update(
            {
                name: Serving(one.vip, runs=running.get(name) == one.generation, usable=one.usable)
                if (one := on_disk.get(name)) is not None and one.vip
                else None
                for name in names
            }
        )

    async def _load(self, names: Iterable[str]) -> None:
        wanted = sorted(names)
        if not wanted:
            return
        try:
            loaded = await self._forwarder.load(wanted)
        except ForwarderError as error:
            log.warning("forwarder did not load %d listeners, asking again: %s", len(wanted), error)
            await self._lose()
            self._doubt.set()
            return
        self._running = Running(loaded.base_generation, loaded.listeners)
        self._errors |= _refusals(loaded.errors)

    async def follow(self) -> None:
        """Keep `running` true to the forwarder; never returns.

        Raises ConfigDirError if the configuration directory is not usable at the start.
        """
        await asyncio.to_thread(self._files.prepare)
        self._checks_changed(self.checked)
        try:
            await self._follow_all()
        finally:
            self._end_grace()

    async def _follow_all(self) -> None:
        told = ""
        while True:
            try:
                await self._follow_one()
                told = ""
                log.warning("the forwarder is gone or gave no answer; waiting for it")
            except (ForwarderError, ConfigDirError) as error:
                if str(error) != told:
                    log.warning("waiting for the forwarder: %s", error)
                told = str(error)
            ran = self._running is not None
            if ran:
                await self._lose()
            if self._grace is None:
                self._vips.stop()
                self.known.set()
                if ran:
                    self.changed.set()
            await asyncio.sleep(_POLL_S if self._grace is None else _GRACE_POLL_S)

    async def _lose(self) -> None:
        """What ran may have ended. Where it is started again at once, nobody is told until it does not come back."""
        self._running = None
        if self._grace is None and await self._forwarder.is_supervised():
            self._grace = asyncio.get_running_loop().call_later(_GRACE_S, self._give_up)

    def _give_up(self) -> None:
        self._grace = None
        self._vips.stop()
        self._tell_vips(self._take_untold())
        self.known.set()
        self.changed.set()

    def _take_untold(self) -> set[str]:
        names, self._untold = self._untold, set()
        return names

    def _end_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
        self._grace = None

    async def _follow_one(self) -> None:
        """From the start of a forwarder process to its end, or to the first load that it did not answer."""
        async with self._forwarder.watched() as gone:
            status = await self._until_running(gone)
            if status is None:
                return
            self._doubt.clear()
            await self._take_over(status)
            await first_of(_ended(gone), self._doubt.wait())

    async def _until_running(self, gone: asyncio.Task[None]) -> Status | None:
        while not gone.done():
            status = await self._forwarder.read_status()
            if status.state == "running":
                return status
            self.known.set()
            await asyncio.wait([gone], timeout=_POLL_S)
        return None

    async def _take_over(self, status: Status) -> None:
        """Make what runs equal to what is on disk, then report it.

        A listener that runs but has no file is left running and reported as an error: the operator then sends
        it again, or its removal.
        """
        async with self._lock:
            await asyncio.to_thread(self._files.read)
            on_disk = self._files.on_disk
            self._running = Running(status.base_generation, status.listeners)
            self._errors = dict.fromkeys(status.listeners.keys() - on_disk.keys(), _FILE_IS_GONE)
            await self._load(
                name for name, one in on_disk.items() if status.listeners.get(name) != one.generation
            )
            if self._running is not None:
                self._end_grace()
                log.info(
                    "forwarder runs base %s and %d listeners",
                    self.base_generation,
                    len(self._running.listeners),
                )
            self._tell_vips(self._files.on_disk.keys() | self._take_untold())
        self.known.set()
        self.changed.set()


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


def _refusals(faults: Iterable[LoadFault]) -> dict[str, str]:
    """Errors by listener name; a fault of another file concerns no listener and is only logged."""
    refusals = {}
    for fault in faults:
        folder, _, file = fault.file.partition("/")
        if folder == "listeners" and file.endswith(".json"):
            refusals[file.removesuffix(".json")] = str(fault)
        else:
            log.error("forwarder: %s", fault)
    return refusals
