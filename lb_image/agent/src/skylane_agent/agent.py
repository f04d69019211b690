"""The agent as a whole: its parts, wired, from start to stop."""

import asyncio
import logging
import random
from http import HTTPStatus

from skylane_agent.config_dir import ConfigDir
from skylane_agent.errors import ForwarderError
from skylane_agent.forwarder import ForwarderClient, Stats
from skylane_agent.health.monitor import Monitor
from skylane_agent.http_server import HttpServer, Response
from skylane_agent.local import LocalState
from skylane_agent.metrics import CONTENT_TYPE, metrics_text
from skylane_agent.routes.announcer import Announcer
from skylane_agent.routes.gateways import GatewayWatch
from skylane_agent.settings import AgentSettings
from skylane_agent.stream import OperatorStream, Parts, Timing
from skylane_agent.sync_watch import JOINING, SyncWatch
from skylane_agent.waiting import Marked, first_of

log = logging.getLogger(__name__)


class Agent:
    """One agent; several may live in one process."""

    def __init__(self, settings: AgentSettings, timing: Timing | None = None) -> None:
        self.forwarder = ForwarderClient(settings.control_socket)
        marked = Marked()
        config_dir = ConfigDir(settings.config_dir)
        self.announcer = Announcer(settings.bird_folder, config_dir)
        self.local = LocalState(config_dir, self.forwarder, marked.add, self.announcer.vips)
        self.gateways = GatewayWatch(
            self.forwarder,
            self.announcer.vips,
            wanted=lambda: self.announcer.wanted,
            forwarding=lambda: self.local.forwarding,
        )
        self.sync = SyncWatch(
            self.forwarder, self.announcer.vips, config_dir.syncs, forwarding=lambda: self.local.forwarding
        )
        chance = random.Random()  # noqa: S311 - jitter must differ between pods, not be secret
        self.health = Monitor(self.local, marked, chance)
        parts = Parts(self.local, self.health, self.announcer, self.sync, self.forwarder)
        self.stream = OperatorStream(settings, parts, chance, timing)
        pages = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        self.http = HttpServer(pages, settings.http_port)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. The forwarder is left as it runs, VIPs are withdrawn: it will hardly outlive us for long.

        So other pods are told to take over its flows, last of all: it forwards until its end what still comes.

        Raises ConfigDirError if the configuration directory is not usable, OSError if the HTTP port is taken.
        """
        self.announcer.prepare()
        await first_of(
            stop.wait(),
            self.local.follow(),
            self.local.retry(),
            self.health.run(),
            self.gateways.run(),
            self.sync.run(),
            self.announcer.run(self.local.known, self.gateways.known, self.sync.known),
            self.stream.run(),
            self.http.serve(),
        )
        await self.announcer.withdraw()
        await self._leave()

    async def _leave(self) -> None:
        if not self.sync.wanted:
            return
        try:
            await self.forwarder.leave()
        except ForwarderError as error:
            log.warning("the other pods are not told, and find out by themselves: %s", error)

    async def _healthz(self) -> Response:
        return Response(HTTPStatus.OK, "ok\n")

    async def _readyz(self) -> Response:
        if not self.local.running:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "the forwarder does not run\n")
        if not self.sync.joined:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, f"{JOINING}\n")
        return Response(HTTPStatus.OK, "ok\n")

    async def _metrics(self) -> Response:
        text = metrics_text(
            await self._stats(),
            running=self.local.running,
            connected=self.stream.connected,
            attempts=self.stream.attempts,
            reports=self.health.reports,
            probes=self.health.prober.outcomes,
            advertised=self.announcer.report,
        )
        return Response(HTTPStatus.OK, text, CONTENT_TYPE)

    async def _stats(self) -> Stats | None:
        if not self.local.running:
            return None
        try:
            return await self.forwarder.read_stats()
        except ForwarderError:
            return None


async def run(settings: AgentSettings, stop: asyncio.Event, timing: Timing | None = None) -> None:
    """Run an agent until `stop` is set; see Agent.run."""
    await Agent(settings, timing).run(stop)
