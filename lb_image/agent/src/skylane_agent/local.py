"""The pod's side of the contract: what is on disk, the forwarder beside it, and where the two agree."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from skylane_agent.config_dir import ConfigDir
from skylane_agent.config_files import base_file, listener_file
from skylane_agent.errors import ConfigDirError, ForwarderError
from skylane_agent.forwarder import ForwarderClient, LoadFault, Status
from skylane_agent.waiting import first_of
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

log = logging.getLogger(__name__)

_FILE_IS_GONE = "runs, but its file is gone from the configuration directory"
_POLL_S = 0.2  # until the forwarder listens, and until it runs


@dataclass(frozen=True, slots=True)
class Running:
    """What the forwarder runs; `listeners` maps name to generation."""

    base_generation: str
    listeners: dict[str, str] = field(default_factory=dict)


class LocalState:
    """Applies deltas, follows the forwarder over its restarts, and says what is true now.

    `known` is set once the directory has been read and the forwarder, if it is there, has been asked.
    `changed` is set whenever what runs has changed otherwise than by `apply`; who reports it clears it.
    """

    def __init__(self, config_dir: ConfigDir, forwarder: ForwarderClient) -> None:
        self._config_dir = config_dir
        self._forwarder = forwarder
        self._running: Running | None = None
        self._on_disk: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._doubt = asyncio.Event()  # the forwarder did not answer a load: ask what it runs
        self._lock = asyncio.Lock()  # the directory and what is made of it have one writer
        self.known = asyncio.Event()
        self.changed = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether the forwarder is known to forward."""
        return self._running is not None

    @property
    def base_generation(self) -> str:
        """Of the base that runs; empty while none does."""
        return self._running.base_generation if self._running else ""

    def listener_states(self, among: Collection[str] | None = None) -> list[pb.ListenerState]:
        """One per listener that is on disk, runs, or failed to, of those `among` (None: of all).

        Its generation is empty if it does not run.
        """
        running = self._running.listeners if self._running else {}
        known = (self._on_disk, running, self._errors)
        if among is None:
            names = sorted({name for those in known for name in those})
        else:
            names = sorted(name for name in among if any(name in those for those in known))
        return [
            pb.ListenerState(name=name, generation=running.get(name, ""), error=self._errors.get(name, ""))
            for name in names
        ]

    async def apply(self, delta: pb.Delta) -> None:
        """Write a delta to disk and have the forwarder take over what was written.

        A listener that fails raises nothing: its error is in `listener_states`, the others are applied. The file of
        one that the forwarder refuses becomes what it was: a forwarder that starts again finds what last worked.
        """
        names = {listener.name for listener in delta.upserts} | set(delta.removals)
        async with self._lock:
            before = await asyncio.to_thread(
                self._config_dir.contents, [listener.name for listener in delta.upserts]
            )
            failures = await asyncio.to_thread(self._write, delta)
            self._errors = {name: text for name, text in self._errors.items() if name not in names} | failures
            for listener in delta.upserts:
                if listener.name not in failures:
                    self._on_disk[listener.name] = listener.generation
            for name in delta.removals:
                if name not in failures:
                    self._on_disk.pop(name, None)
            if self._running is not None:
                await self._load(names - failures.keys())
                refused = {
                    name: before[name] for name in before.keys() & self._errors.keys() - failures.keys()
                }
                await asyncio.to_thread(self._put_back, refused)

    def _put_back(self, refused: Mapping[str, bytes | None]) -> None:
        for name, reason in self._config_dir.put_back(refused).items():
            log.error("listener %s: its last good file cannot be put back: %s", name, reason)

    def _write(self, delta: pb.Delta) -> dict[str, str]:
        """Write listeners before the base: a forwarder that waits for it then starts with all of them."""
        failures = self._config_dir.remove_listeners(delta.removals)
        failures |= self._config_dir.write_listeners(map(listener_file, delta.upserts))
        if delta.HasField("base"):
            reason = self._config_dir.write_base(base_file(delta.base))
            if reason:
                log.error("base generation %s is not on disk: %s", delta.base.generation, reason)
        return failures

    async def _load(self, names: Iterable[str]) -> None:
        wanted = sorted(names)
        if not wanted:
            return
        try:
            loaded = await self._forwarder.load(wanted)
        except ForwarderError as error:
            log.warning("forwarder did not load %d listeners, asking again: %s", len(wanted), error)
            self._running = None
            self._doubt.set()
            return
        self._running = Running(loaded.base_generation, loaded.listeners)
        self._errors |= _refusals(loaded.errors)

    async def follow(self) -> None:
        """Keep `running` true to the forwarder; never returns.

        Raises ConfigDirError if the configuration directory is not usable at the start.
        """
        await asyncio.to_thread(self._config_dir.prepare)
        self._on_disk = await asyncio.to_thread(self._config_dir.generations)
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
            self.known.set()
            if self._running is not None:
                self._running = None
                self.changed.set()
            await asyncio.sleep(_POLL_S)

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
            self._on_disk = await asyncio.to_thread(self._config_dir.generations)
            self._running = Running(status.base_generation, status.listeners)
            self._errors = dict.fromkeys(status.listeners.keys() - self._on_disk.keys(), _FILE_IS_GONE)
            await self._load(
                name for name, generation in self._on_disk.items() if status.listeners.get(name) != generation
            )
            if self._running is not None:
                log.info(
                    "forwarder runs base %s and %d listeners",
                    self.base_generation,
                    len(self._running.listeners),
                )
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
