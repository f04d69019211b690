"""Keeps the routing daemon true to the peers that the operator names and to the VIPs that can be served.

The daemon is another container, which starts with an empty configuration and is given the real one here: what is announced has
been decided by somebody who knows what the forwarder does. The peers are kept in a file (in memory, for the passwords), so that
an agent that starts again needs no operator. An agent that is killed leaves the daemon as it is.
"""

import asyncio
import logging
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from skylane_agent.config_dir import ConfigDir, NicAddresses
from skylane_agent.errors import BirdError, RoutingError
from skylane_agent.routes.bird import Bird, SessionState
from skylane_agent.routes.bird_config import ROUTES_FILES, SESSION_PREFIX, bird_conf, routes_confs
from skylane_agent.routes.vips import Vips
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

log = logging.getLogger(__name__)

_POLL_S = 0.5  # between looks at the sessions
_SETTLE_S = 0.05  # from a configuration to what was sent of it
_RETRY_S = 0.2  # until the daemon is there
_CHECK_TIMEOUT_S = 10.0
_GOODBYE_S = 1.0
_NO_NIC = NicAddresses("192.0.2.1")  # stands for the pod's addresses while it has none
_DAEMON_GONE = "the routing daemon is not there; see the log of the pod's container bird"


@dataclass(frozen=True, slots=True)
class Files:
    """What the daemon is given: bird.conf, and the routes by IP version."""

    conf: str = field(repr=False)
    routes: dict[int, str]


@dataclass(frozen=True, slots=True)
class AdvertisementReport:
    """What is announced. `generation` is that of the peers that the daemon runs."""

    generation: str = ""
    sessions: dict[str, SessionState] = field(default_factory=dict)
    announced: tuple[str, ...] = ()
    withheld: dict[str, str] = field(default_factory=dict)
    obstacles: tuple[str, ...] = ()


class Announcer:
    """`generation` is that of the peers that are kept. `vips` is told by others what can be served.

    `known` is set once that has been looked at: until then the daemon is left with what it announces.
    """

    def __init__(self, folder: Path, config_dir: ConfigDir) -> None:
        self._folder, self._config_dir = folder, config_dir
        self._bird = Bird(folder / "bird.ctl")
        self._routing = pb.Routing()
        self._loaded: Files | None = None  # what the daemon runs
        self._dirty = asyncio.Event()
        self._leaving = False
        self.vips = Vips(self._dirty.set)
        self.report = AdvertisementReport()
        self.changed = asyncio.Event()  # `report` has become another; who tells of it clears it

    @property
    def generation(self) -> str:
        """Of the peers that are kept; empty: none."""
        return self._routing.generation

    @property
    def wanted(self) -> bool:
        """Whether there is anybody to announce to."""
        return bool(self._routing.peers)

    def prepare(self) -> None:
        """Begin with the peers that an earlier agent kept."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._routing = pb.Routing.FromString((self._folder / "peers").read_bytes())
        except FileNotFoundError:
            return
        except (OSError, DecodeError) as error:
            log.warning("peers that were kept cannot be read, waiting for the operator: %s", error)

    async def take(self, routing: pb.Routing) -> None:
        """Make these the peers. Raises RoutingError, and leaves all as it is, if they cannot be used."""
        await asyncio.to_thread(self._check, routing)
        self._routing = routing
        self._dirty.set()

    def _check(self, routing: pb.Routing) -> None:
        """Have the daemon's own parser look at what would be loaded, then keep the peers."""
        trial = self._folder / "trial"
        try:
            text = bird_conf(routing.peers, self._config_dir.nic() or _NO_NIC)
            trial.mkdir(parents=True, exist_ok=True)
            for file in ROUTES_FILES.values():
                _write_private(trial / file, b"")
            _write_private(trial / "bird.conf", text.encode())
            command = ["bird", "-p", "-c", str(trial / "bird.conf")]
            result = subprocess.run(command, capture_output=True, text=True, timeout=_CHECK_TIMEOUT_S)  # noqa: PLW1510 - its status is looked at
            if result.returncode == 0:
                _write_private(self._folder / "peers", routing.SerializeToString())
        except (ValueError, OSError, subprocess.TimeoutExpired) as error:
            raise RoutingError(f"peers cannot be used: {_without_passwords(str(error), routing)}") from error
        if result.returncode:
            raise RoutingError(
                f"BIRD refuses its configuration: {_without_passwords(result.stderr.strip(), routing)}"
            )

    async def run(self, *known: asyncio.Event) -> None:
        """Until cancelled; no failure of the daemon ends it."""
        for each in known:
            await each.wait()
        told = ""
        while True:
            try:
                async with self._bird.connected():
                    told = ""
                    self._loaded = None
                    while True:
                        await self._turn()
            except (BirdError, OSError) as error:
                if str(error) != told and self.wanted:
                    log.warning("waiting for the routing daemon: %s", error)
                told = str(error)
            self._tell("", {})
            await asyncio.sleep(_RETRY_S)

    async def _turn(self) -> None:
        self._dirty.clear()
        if await self._load():
            await self._until_dirty(_SETTLE_S)
        self._tell(self.generation, await self._bird.read_sessions(SESSION_PREFIX))
        await self._until_dirty(_POLL_S)

    async def _until_dirty(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._dirty.wait()

    async def _load(self) -> bool:
        """Have the daemon run what is wanted now; without peers or an address to send packets to, no session.

        Returns whether it was news to the daemon.
        """
        nic = self._config_dir.nic()
        wanted = Files(
            bird_conf(self._routing.peers if nic else (), nic or _NO_NIC),
            routes_confs(() if self._leaving else self.vips.announced),
        )
        if wanted == self._loaded:
            return False
        for version, file in ROUTES_FILES.items():
            _write_private(self._folder / file, wanted.routes[version].encode())
        conf = self._folder / "bird.conf"
        _write_private(conf, wanted.conf.encode())
        await self._bird.configure(conf, soft=self._loaded is not None and wanted.conf == self._loaded.conf)
        self._loaded = wanted
        return True

    def _tell(self, generation: str, sessions: dict[str, SessionState]) -> None:
        gone = SessionState(established=False, error="" if generation else _DAEMON_GONE, prefixes=0)
        report = AdvertisementReport(
            generation,
            {peer.name: sessions.get(peer.name, gone) for peer in self._routing.peers},
            tuple(sorted(self.vips.announced)) if generation else (),
            dict(sorted(self.vips.withheld.items())),
            self.vips.obstacles,
        )
        if report != self.report:
            self.report = report
            self.changed.set()

    async def withdraw(self) -> None:
        """The pod ends: have the daemon withdraw everything, while the forwarder still forwards. `run` must have ended."""
        self._leaving = True
        if not self.wanted:
            return
        try:
            async with asyncio.timeout(_GOODBYE_S), self._bird.connected():
                await self._load()
        except (BirdError, OSError, TimeoutError) as error:
            log.warning("VIPs cannot be withdrawn, the routing daemon's own end will do it: %s", error)


def _without_passwords(text: str, routing: pb.Routing) -> str:
    for peer in routing.peers:
        if peer.password:
            text = text.replace(peer.password, "...")
    return text


def _write_private(file: Path, content: bytes) -> None:
    """For the daemon and us alone, which share a user."""
    temporary = file.with_name(f".{file.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(file)
