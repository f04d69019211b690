"""One replica: it watches and is warm, and leads while it holds the Lease. What only the leader does is in `term`."""

import asyncio
import logging
import socket
import time
import uuid

from skylane_operator.backoff import delays
from skylane_operator.errors import ApiError
from skylane_operator.handlers.marks import Marks
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.election import timing_for
from skylane_operator.kube.lease import Lease
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.settings import Settings
from skylane_operator.telemetry import HttpServer, OperatorCollector
from skylane_operator.term import Term
from skylane_operator.waiting import together

LEASE_NAME = "skylane-operator"
RELIST_S = 60.0

_log = logging.getLogger(__name__)


class Operator:
    """`client` is for one replica alone: it is made to refuse writes while that does not lead."""

    def __init__(self, settings: Settings, client: KubeClient) -> None:
        self._settings, self._client = settings, client
        # The name says which pod it is; a process that follows another one in the same pod is somebody else.
        identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        # Connections of its own: to renew must not wait for lists.
        lease_client = KubeClient(client.configuration)
        key, timing = Key(settings.namespace, LEASE_NAME), timing_for(settings.lease_duration_s)
        self._lease = Lease(lease_client, key, identity, timing)
        client.may_write = self._lease.held
        marks = Marks(self._mark, self._mark_object, self._mark_addresses)
        self.cluster = Cluster(
            client,
            settings.watch_namespaces,
            marks,
            settings.default_load_balancer_key,
            gateway_api=settings.gateway_api,
            readiness_gates=settings.readiness_gates,
        )
        marks.bind(self.cluster.load_balancers, self.cluster)
        self.term: Term | None = None
        self._ready = asyncio.Event()
        collector = OperatorCollector(self.cluster, lambda: self.term)
        self._http = HttpServer(collector, self._stalled_s, self._ready.is_set)
        self.http_port = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises SkylaneError for what no retry mends."""
        self.http_port = await self._http.start(self._settings.http_address)
        try:
            await self._work_until(stop)
        finally:
            await self._http.stop()

    async def _work_until(self, stop: asyncio.Event) -> None:
        work = asyncio.create_task(together(self.cluster.run(), self._stand()))
        told_to_stop = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, told_to_stop):
                task.cancel()
            await asyncio.wait({work, told_to_stop})
        if not work.cancelled():
            work.result()

    async def wait_ready(self) -> None:
        """Wait until everything has been listed: from then on we can lead."""
        await self._ready.wait()

    async def _stand(self) -> None:
        # Nothing is decided before all is known: a Service that is merely not listed yet is not a missing one.
        await self._relist_until_done()
        await self.cluster.synced()
        self._ready.set()
        _log.info("ready: %d LoadBalancers", len(self.cluster.load_balancers.all()))
        await together(self._relist_forever(), self._lease.run(self._lead))

    async def _lead(self) -> None:
        self.term = Term(self._settings, self._client, self.cluster)
        try:
            await self.term.run()
        finally:
            self.term = None

    def _mark(self, key: Key) -> None:
        if self.term is not None:
            self.term.queue.mark(key)

    def _mark_object(self, one: ObjectKey) -> None:
        if self.term is not None:
            self.term.objects.mark(one)

    def _mark_addresses(self) -> None:
        if self.term is not None:
            self.term.mark_addresses()

    async def _relist_until_done(self) -> None:
        for delay in delays():
            try:
                changed = await self.cluster.load_balancers.refresh()
            except ApiError as error:
                _log.warning("LoadBalancers cannot be listed: %s", error)
                await asyncio.sleep(delay)
                continue
            for key in changed:
                self._mark(key)
            return

    async def _relist_forever(self) -> None:
        while True:
            await asyncio.sleep(RELIST_S)
            await self._relist_until_done()

    def _stalled_s(self) -> float:
        stalled_s = self.cluster.stalled_s()
        return max(stalled_s, time.monotonic() - self._lease.last_turn) if self._ready.is_set() else stalled_s
