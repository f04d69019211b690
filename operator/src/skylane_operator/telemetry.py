"""Health endpoints and metrics of the operator (HTTP, plain)."""

from collections.abc import Callable, Iterable
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skylane_operator.agents.registry import Agents
from skylane_operator.handlers.queue import DirtyQueue
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.model.key import Key

# A reflector turns every minute, whether the API server answers or not: to restart would not bring that back. So does who
# looks at the Lease, twice a second.
MAX_STALLED_S = 300.0


class Leading(Protocol):
    """What a leader has; see `Term`."""

    agents: Agents
    queue: DirtyQueue[Key]
    status: StatusWriter


class OperatorCollector(Collector):
    """Reads what the parts count by themselves, at the moment of the scrape. Who does not lead has little to tell."""

    def __init__(self, cluster: Cluster, leading: Callable[[], Leading | None]) -> None:
        self._cluster, self._leading = cluster, leading

    def collect(self) -> Iterable[Metric]:
        """One family at a time."""
        leading = self._leading()
        yield GaugeMetricFamily(
            "skylane_operator_leader",
            "1 for the replica that leads, 0 for those that stand by.",
            leading is not None,
        )
        yield GaugeMetricFamily(
            "skylane_watch_silence_seconds",
            "Time since the most silent watch heard of the API server.",
            self._cluster.silence_s(),
        )
        if leading is not None:
            yield from _of_leader(leading)


def _of_leader(leading: Leading) -> Iterable[Metric]:
    queue = leading.queue
    yield CounterMetricFamily("skylane_reconciles", "Reconciles begun.", queue.handled)
    yield CounterMetricFamily("skylane_reconcile_failures", "Reconciles to repeat.", queue.failed)
    yield CounterMetricFamily("skylane_status_writes", "Status patches written.", leading.status.writes)
    yield GaugeMetricFamily("skylane_queue_keys", "LoadBalancers that wait for a reconcile.", len(queue))
    yield GaugeMetricFamily("skylane_agents", "Agents connected.", leading.agents.connection_count())
    flows = GaugeMetricFamily(
        "skylane_listener_active_flows",
        "Flows of a listener over all its pods.",
        labels=["namespace", "load_balancer", "listener"],
    )
    for (key, listener), count in sorted(leading.agents.active_flows().items()):
        flows.add_metric([key.namespace, key.name, listener], count)
    yield flows


class HttpServer:
    """/healthz fails when a part is stuck that must turn, /readyz until `ready` says so, /metrics is Prometheus text."""

    def __init__(
        self, collector: OperatorCollector, stalled_s: Callable[[], float], ready: Callable[[], bool]
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._stalled_s, self._ready = stalled_s, ready
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, address: str) -> int:
        """Listen on `host:port`; returns the port. Raises OSError if it is taken."""
        host, _, port = address.rpartition(":")
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, int(port))
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close it."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        stalled = self._stalled_s()
        if stalled > MAX_STALLED_S:
            return web.Response(
                status=503, text=f"a watch, or the look at the Lease, has been stuck for {stalled:.0f} s\n"
            )
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if not self._ready():
            return web.Response(status=503, text="not all that is watched has been listed yet\n")
        return web.Response(text="ok\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=generate_latest(self._registry).decode(), content_type="text/plain")
