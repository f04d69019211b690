"""The wiring: one of each part, started in the order in which they need one another, stopped in reverse."""

import asyncio
import logging
import socket
from datetime import UTC, datetime

from skylane_operator.agents.registry import Agents
from skylane_operator.agents.server import AgentServer, Certificate
from skylane_operator.agents.tls import CA_CERTIFICATE, CERTIFICATE, KEY, renewed
from skylane_operator.backoff import delays
from skylane_operator.errors import ApiError, SettingsError
from skylane_operator.handlers.load_balancers import registry_for, watch_load_balancers
from skylane_operator.handlers.marks import Marks
from skylane_operator.handlers.queue import DirtyQueue
from skylane_operator.kube.apply import Applier
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.connection import connection_info
from skylane_operator.kube.events import EventWriter
from skylane_operator.kube.resource import LOAD_BALANCER, SERVICE, VIRTUAL_IP_POOL
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.tls_secret import ensure_secret
from skylane_operator.kube.token_review import TokenIdentity, identity_of
from skylane_operator.model.key import Key
from skylane_operator.reconcile import Reconciler
from skylane_operator.render import RenderSettings
from skylane_operator.service_reconcile import ServiceReconciler
from skylane_operator.settings import Settings
from skylane_operator.telemetry import HttpServer, OperatorCollector

SERVICE_NAME = "skylane-operator"
TLS_SECRET = "skylane-operator-tls"  # noqa: S105 - its name
GRPC_PORT = 9443
RELIST_S = 60.0
# All addresses are assigned together: a burst of new Services is one turn.
ADDRESSES_INTERVAL_S = 0.2
ALL_ADDRESSES = Key("", "addresses")
RENEW_CHECK_S = 3600.0
# Agents dial again within 5 s. Until then the status of before is the best that is known of their pods.
SETTLE_S = 10.0

_log = logging.getLogger(__name__)


class Operator:
    """One replica. It holds no Lease: two that run at once do the same work twice, which is harmless but wasteful."""

    def __init__(self, settings: Settings, client: KubeClient) -> None:
        self._settings, self._client = settings, client
        self._files: dict[str, bytes] = {}
        self._address = ""
        self._settled = False
        self.queue = DirtyQueue(self._reconcile)
        self.services = DirtyQueue(self._reconcile_service)
        self.addresses = DirtyQueue(self._assign_addresses, ADDRESSES_INTERVAL_S)
        marks = Marks(self.queue.mark, self.services.mark, lambda: self.addresses.mark(ALL_ADDRESSES))
        self.cluster = Cluster(client, settings.watch_namespaces, marks, settings.default_load_balancer_key)
        marks.bind(self.cluster.load_balancers, self.cluster)
        self.agents = Agents(self.queue.mark, self.services.mark)
        events = EventWriter(client, socket.gethostname())
        self.status = StatusWriter(client, LOAD_BALANCER, events, self.cluster.load_balancers.keep)
        self._service_status = StatusWriter(client, SERVICE, events)
        self._pool_status = StatusWriter(client, VIRTUAL_IP_POOL, events)
        self._server = AgentServer(self.agents, self._identity, self._certificate)
        self._ready = asyncio.Event()
        collector = OperatorCollector(self.cluster, self.agents, self.queue, self.status)
        self._http = HttpServer(collector, self.cluster.stalled_s, self._ready.is_set)
        self._reconciler = Reconciler(
            client=client,
            cluster=self.cluster,
            agents=self.agents,
            applier=Applier(client, self.cluster.owned),
            status=self.status,
            settings=self._render_settings,
            settled=lambda: self._settled,
            now=lambda: datetime.now(UTC),
        )
        self._service_reconciler = ServiceReconciler(
            cluster=self.cluster,
            agents=self.agents,
            service_status=self._service_status,
            pool_status=self._pool_status,
            mark=self.queue.mark,
            mark_service=self.services.mark,
            settled=lambda: self._settled,
            now=lambda: datetime.now(UTC),
        )
        self.grpc_port = self.http_port = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises SkylaneError for what no retry mends."""
        self.http_port = await self._http.start(self._settings.http_address)
        try:
            await self._renew_certificate()
            self._address = self._settings.operator_address or await self._service_address()
            self.grpc_port = await self._server.start(self._settings.grpc_address)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in (self._work(), self._keep_certificate())]
                tasks.append(group.create_task(self._watch(stop)))
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._server.stop()
            for writer in (self.status, self._service_status, self._pool_status):
                await writer.aclose()
            await self._http.stop()

    async def wait_ready(self) -> None:
        """Wait until everything has been listed and reconciling has begun."""
        await self._ready.wait()

    async def _work(self) -> None:
        # Nothing is decided before all is known: a Service that is merely not listed yet is not a missing one.
        async with asyncio.TaskGroup() as group:
            group.create_task(self.cluster.run())
            await self._relist_until_done()
            await self.cluster.synced()
            self._serve_services()
            for queue in (self.queue, self.services, self.addresses):
                group.create_task(queue.run())
            group.create_task(self._relist_forever())
            group.create_task(self._settle())
            self._ready.set()
            _log.info("ready: %d LoadBalancers", len(self.cluster.load_balancers.all()))

    def _serve_services(self) -> None:
        # Before any agent is told what its LoadBalancer wants: what a Service adds to that must not seem to be gone.
        self._service_reconciler.assign()
        for key in self.cluster.assignments:
            self._service_reconciler.reconcile(key)

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLE_S)
        self._settled = True
        for key in self.cluster.load_balancers.all():
            self.queue.mark(key)
        for key in self.cluster.asking_services():
            self.services.mark(key)

    async def _watch(self, stop: asyncio.Event) -> None:
        await self._ready.wait()
        loop = asyncio.get_running_loop()
        registry = registry_for(
            lambda key: loop.call_soon_threadsafe(self._load_balancer_changed, key),
            lambda: connection_info(self._client),
        )
        await watch_load_balancers(registry, self._settings.watch_namespaces, stop)

    def _load_balancer_changed(self, key: Key) -> None:
        self.cluster.load_balancers.invalidate(key)
        self.queue.mark(key)

    async def _reconcile(self, key: Key) -> None:
        await self._reconciler.reconcile(key)

    async def _reconcile_service(self, key: Key) -> None:
        self._service_reconciler.reconcile(key)

    async def _assign_addresses(self, _all: Key) -> None:
        self._service_reconciler.assign()

    async def _relist_until_done(self) -> None:
        for delay in delays():
            try:
                changed = await self.cluster.load_balancers.refresh()
            except ApiError as error:
                _log.warning("LoadBalancers cannot be listed: %s", error)
                await asyncio.sleep(delay)
                continue
            for key in changed:
                self.queue.mark(key)
            return

    async def _relist_forever(self) -> None:
        while True:
            await asyncio.sleep(RELIST_S)
            await self._relist_until_done()

    async def _renew_certificate(self) -> None:
        def renew(files: dict[str, bytes] | None) -> dict[str, bytes]:
            return renewed(files, self._settings.server_name, datetime.now(UTC))

        key = Key(self._settings.namespace, TLS_SECRET)
        before = self._files.get(CA_CERTIFICATE)
        self._files = await ensure_secret(self._client, key, renew)
        if before not in (None, self._files[CA_CERTIFICATE]):
            for load_balancer in self.cluster.load_balancers.all():
                self.queue.mark(load_balancer)  # their ConfigMaps carry the CA

    async def _keep_certificate(self) -> None:
        while True:
            await asyncio.sleep(RENEW_CHECK_S)
            try:
                await self._renew_certificate()
            except ApiError as error:
                _log.warning("TLS Secret: %s", error)

    async def _service_address(self) -> str:
        key = Key(self._settings.namespace, SERVICE_NAME)
        service = await self._client.request("GET", SERVICE.path(key))
        address = service["spec"].get("clusterIP", "")
        if address in ("", "None"):
            raise SettingsError(
                f"Service {key} has no ClusterIP for agents to dial; give it one, or set SKYLANE_OPERATOR_ADDRESS"
            )
        return f"{address}:{GRPC_PORT}"

    async def _identity(self, token: str) -> TokenIdentity | None:
        return await identity_of(self._client, token)

    def _certificate(self) -> Certificate:
        return Certificate(key=self._files[KEY], chain=self._files[CERTIFICATE])

    def _render_settings(self) -> RenderSettings:
        return RenderSettings(
            lb_image=self._settings.lb_image,
            operator_address=self._address,
            operator_server_name=self._settings.server_name,
            ca_certificate=self._files[CA_CERTIFICATE].decode(),
            image_pull_policy=self._settings.image_pull_policy,
        )
