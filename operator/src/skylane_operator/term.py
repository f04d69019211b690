"""One term of leadership: all that only the leader does.

Made when the Lease is taken, ended when it is lost and never used again: in between another replica has led, and nothing that
was remembered of agents, retries and writes need be true any more.
"""

import asyncio
import logging
import socket
import time
from datetime import UTC, datetime
from typing import Any

from skylane_operator.address_reconcile import AddressReconciler
from skylane_operator.agents.registry import Agents
from skylane_operator.agents.server import AgentServer, Certificate
from skylane_operator.agents.tls import CERTIFICATE, KEY, renewed, trusted
from skylane_operator.errors import ApiError, SettingsError
from skylane_operator.gateway_reconcile import GatewayReconciler
from skylane_operator.handlers.load_balancers import registry_for, watch_load_balancers
from skylane_operator.handlers.queue import DirtyQueue
from skylane_operator.kube.apply import Applier
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.connection import connection_info
from skylane_operator.kube.events import EventWriter
from skylane_operator.kube.gateways import ROUTES
from skylane_operator.kube.leader_address import LeaderAddress
from skylane_operator.kube.names import NamePublisher
from skylane_operator.kube.resource import (
    DNS_ENDPOINT,
    GATEWAY,
    GATEWAY_CLASS,
    LOAD_BALANCER,
    POD,
    SERVICE,
    VIRTUAL_IP_POOL,
)
from skylane_operator.kube.rollout import Templates
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.sync_secrets import SyncSecrets
from skylane_operator.kube.tls_secret import ensure_secret
from skylane_operator.kube.token_review import TokenIdentity, identity_of
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.readiness_gates import ReadinessGates
from skylane_operator.reconcile import Reconciler
from skylane_operator.render import RenderSettings
from skylane_operator.service_reconcile import ServiceReconciler
from skylane_operator.settings import Settings
from skylane_operator.waiting import together

SERVICE_NAME = "skylane-operator"
TLS_SECRET = "skylane-operator-tls"  # noqa: S105 - its name
GRPC_PORT = 9443
# All addresses are assigned together: a burst of new Services is one turn.
ADDRESSES_INTERVAL_S = 0.2
ALL_ADDRESSES = Key("", "addresses")
RENEW_CHECK_S, CLOCK_CHECK_S = 3600.0, 60.0
# A watch that cannot be opened for so long does not keep us from leading: others would hardly do better.
CATCH_UP_S = 5.0
# Agents dial again within 5 s. Until then the status of before is the best that is known of their pods.
SETTLE_S = 10.0

_log = logging.getLogger(__name__)


class Term:
    """`cluster` is kept up to date by somebody else, before, during and after. `grpc_port` is known once `began` is set."""

    def __init__(self, settings: Settings, client: KubeClient, cluster: Cluster) -> None:
        self._settings, self._client, self._cluster = settings, client, cluster
        self._files: dict[str, bytes] = {}
        self._address = ""
        self._leader_address: LeaderAddress | None = None
        self._settled = False
        self.queue = DirtyQueue(self._reconcile)
        self.objects = DirtyQueue(self._reconcile_object)
        self._addresses = DirtyQueue(self._assign_addresses, ADDRESSES_INTERVAL_S)
        self.agents = Agents(self.queue.mark, self.objects.mark)
        events = EventWriter(client, socket.gethostname())
        self.status = StatusWriter(client, LOAD_BALANCER, events, cluster.load_balancers.keep)
        self._service_status = StatusWriter(client, SERVICE, events)
        self._pool_status = StatusWriter(client, VIRTUAL_IP_POOL, events)
        self._class_status = StatusWriter(client, GATEWAY_CLASS, events)
        self._gateway_status = StatusWriter(client, GATEWAY, events)
        self._route_status = {
            (version.group_version, version.kind): StatusWriter(client, version, events)
            for resource in ROUTES
            for version in resource.versions()
        }
        self._pod_status = StatusWriter(client, POD, events)
        self._gates = ReadinessGates(
            cluster=cluster,
            status=self._pod_status,
            mark=self.objects.mark,
            settled=lambda: self._settled,
            now=lambda: datetime.now(UTC),
        )
        self._server = AgentServer(self.agents, self._identity, self._certificate)
        applier = Applier(client, cluster.owned)
        self._reconciler = Reconciler(
            client=client,
            cluster=cluster,
            agents=self.agents,
            applier=applier,
            sync_secrets=SyncSecrets(client),
            status=self.status,
            settings=self._render_settings,
            settled=lambda: self._settled,
            now=lambda: datetime.now(UTC),
            templates=Templates(client),
            names=NamePublisher(
                client, applier, cluster.owned[DNS_ENDPOINT.kind], lambda: cluster.serves(DNS_ENDPOINT)
            ),
            upgrade_deadline_s=self._settings.upgrade_deadline_s,
            began=datetime.now(UTC),
            gates=self._gates,
        )
        self._address_reconciler = AddressReconciler(
            cluster=cluster,
            pool_status=self._pool_status,
            mark=self.queue.mark,
            mark_owner=self.objects.mark,
            now=lambda: datetime.now(UTC),
        )
        self._service_reconciler = ServiceReconciler(
            cluster=cluster,
            agents=self.agents,
            service_status=self._service_status,
            gates=self._gates,
            settled=lambda: self._settled,
            now=lambda: datetime.now(UTC),
        )
        self._gateway_reconciler = GatewayReconciler(
            cluster=cluster,
            agents=self.agents,
            class_status=self._class_status,
            gateway_status=self._gateway_status,
            route_status=self._route_status,
            gates=self._gates,
            settled=lambda: self._settled,
            now=lambda: datetime.now(UTC),
        )
        self.grpc_port = 0
        self.began = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises ApiError if it could not begin, other kinds of SkylaneError for what no retry mends."""
        try:
            await self._begin()
            queues = [queue.run() for queue in (self.queue, self.objects, self._addresses)]
            work = [*queues, self._keep_certificate(), self._settle(), self._watch()]
            work.append(self._cluster.passwords.keep())
            if self._leader_address is not None:
                work.append(self._leader_address.keep())
            await together(*work)
        finally:
            # Writes end first: what ends with the streams is nobody's news.
            for writer in self._writers():
                await writer.aclose()
            await self._server.stop()

    async def _begin(self) -> None:
        # A replica that could not reach the API server for a while knows only what was: agents may have newer from another.
        if late := await self._cluster.catch_up(CATCH_UP_S):
            _log.warning("leading on what was known before of: %s", ", ".join(late))
        await self._cluster.load_balancers.refresh()
        self._cluster.passwords.forget()
        self._serve_owners()
        await self._renew_certificate()
        self.grpc_port = await self._server.start(self._settings.grpc_address)
        await self._be_found()
        self._mark_all()
        self._mark_objects()
        self.began.set()

    def _writers(self) -> tuple[StatusWriter, ...]:
        own = (self.status, self._service_status, self._pool_status, self._class_status, self._gateway_status)
        return (*own, self._pod_status, *self._route_status.values())

    def _serve_owners(self) -> None:
        # Before any agent is told what its LoadBalancer wants: what an owner adds to that must not seem to be gone.
        self._cluster.forget_assignments()
        self._address_reconciler.assign()
        for owner in self._cluster.assignments:
            self._look_at(owner)

    async def _be_found(self) -> None:
        """Have agents come here, through the Service if we know our own address."""
        self._address = self._settings.operator_address or ""
        if self._settings.pod_address is None:
            return
        key = Key(self._settings.namespace, SERVICE_NAME)
        service = await self._client.request("GET", SERVICE.path(key))
        self._address = self._address or _dialled(key, service["spec"])
        self._leader_address = LeaderAddress(
            self._client, key, service["metadata"]["uid"], str(self._settings.pod_address), self.grpc_port
        )
        await self._leader_address.write()

    def mark_addresses(self) -> None:
        """What the addresses of Services and Gateways depend on has changed."""
        self._addresses.mark(ALL_ADDRESSES)

    def _mark_all(self) -> None:
        for key in self._cluster.load_balancers.all():
            self.queue.mark(key)

    def _mark_objects(self) -> None:
        for one in self._cluster.asking():
            self.objects.mark(one)
        for pod in self._cluster.gated.pods():
            self.objects.mark(ObjectKey(POD.kind, pod))

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLE_S)
        self._settled = True
        self._mark_all()
        self._mark_objects()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        registry = registry_for(
            lambda key: loop.call_soon_threadsafe(self._load_balancer_changed, key),
            lambda: connection_info(self._client),
        )
        await watch_load_balancers(registry, self._settings.watch_namespaces)

    def _load_balancer_changed(self, key: Key) -> None:
        self._cluster.load_balancers.invalidate(key)
        self.queue.mark(key)

    async def _reconcile(self, key: Key) -> float | None:
        return await self._reconciler.reconcile(key)

    async def _reconcile_object(self, one: ObjectKey) -> float | None:
        return self._look_at(one)

    def _look_at(self, one: ObjectKey) -> float | None:
        if one.kind == POD.kind:
            return self._gates.reconcile(one.key)
        if one.kind == SERVICE.kind:
            return self._service_reconciler.reconcile(one.key)
        return self._gateway_reconciler.reconcile(one)

    async def _assign_addresses(self, _all: Key) -> None:
        self._address_reconciler.assign()

    async def _renew_certificate(self) -> None:
        key = Key(self._settings.namespace, TLS_SECRET)
        before = trusted(self._files) if self._files else None
        self._files = await ensure_secret(self._client, key, self._renewed)
        if before not in (None, trusted(self._files)):
            self._mark_all()  # their ConfigMaps carry what agents trust

    def _renewed(self, files: dict[str, bytes] | None) -> dict[str, bytes]:
        return renewed(files, self._settings.server_name, datetime.now(UTC))

    async def _keep_certificate(self) -> None:
        looked = time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_CHECK_S)
            # A clock that is set makes what we hold good or bad at once, and costs no request to be noticed.
            if time.monotonic() - looked < RENEW_CHECK_S and self._renewed(self._files) == self._files:
                continue
            looked = time.monotonic()
            try:
                await self._renew_certificate()
            except ApiError as error:
                _log.warning("TLS Secret: %s", error)

    async def _identity(self, token: str) -> TokenIdentity | None:
        return await identity_of(self._client, token)

    def _certificate(self) -> Certificate:
        return Certificate(key=self._files[KEY], chain=self._files[CERTIFICATE])

    def _render_settings(self) -> RenderSettings:
        return RenderSettings(
            lb_image=self._settings.lb_image,
            operator_address=self._address,
            operator_server_name=self._settings.server_name,
            ca_certificate=trusted(self._files).decode(),
            image_pull_policy=self._settings.image_pull_policy,
        )


def _dialled(key: Key, service_spec: dict[str, Any]) -> str:
    address = service_spec.get("clusterIP", "")
    if address in ("", "None"):
        raise SettingsError(
            f"Service {key} has no ClusterIP for agents to dial; give it one, or set SKYLANE_OPERATOR_ADDRESS"
        )
    return f"{address}:{GRPC_PORT}"
