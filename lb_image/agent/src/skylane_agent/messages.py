"""What the agent says on the stream."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from skylane_agent.forwarder import Stats
from skylane_agent.health.monitor import Report
from skylane_agent.local import LocalState
from skylane_agent.routes.announcer import AdvertisementReport
from skylane_agent.settings import AgentSettings
from skylane_agent.sync_watch import SyncReport
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

_SICK_MAX = 10  # of a listener
_VIPS_MAX = 10
_ERROR_MAX = 128
UNASKED = 0  # sequence of an Ack that answers no Delta


def hello(settings: AgentSettings, local: LocalState, routing_generation: str) -> pb.AgentMessage:
    """First message of a stream."""
    return pb.AgentMessage(
        hello=pb.Hello(
            load_balancer_namespace=settings.pod_namespace,
            load_balancer_name=settings.load_balancer,
            pod_name=settings.pod_name,
            version=version("skylane"),
            base_generation=local.base_generation,
            listeners=local.listener_states(),
            routing_generation=routing_generation,
        )
    )


@dataclass(frozen=True, slots=True)
class RoutingState:
    """The generation of the peers that are kept, and why others were not taken."""

    generation: str
    error: str = ""


def ack(delta: pb.Delta, local: LocalState, routing: RoutingState) -> pb.AgentMessage:
    """Say what runs now of what the Delta named."""
    names = {listener.name for listener in delta.upserts} | set(delta.removals)
    return _ack(delta.sequence, local, local.listener_states(names), routing)


def unasked(local: LocalState, routing: RoutingState) -> pb.AgentMessage:
    """Say what runs now: everything."""
    return _ack(UNASKED, local, local.listener_states(), routing)


def _ack(
    sequence: int, local: LocalState, states: list[pb.ListenerState], routing: RoutingState
) -> pb.AgentMessage:
    return pb.AgentMessage(
        ack=pb.Ack(
            sequence=sequence,
            base_generation=local.base_generation,
            listeners=states,
            routing_generation=routing.generation,
            routing_error=routing.error,
        )
    )


def load(stats: Stats) -> pb.AgentMessage:
    """Counters per listener and of drops."""
    listeners = [
        pb.ListenerLoad(
            name=name,
            connections=counters.connections,
            active_flows=counters.active_flows,
            packets_in=counters.packets_in,
            bytes_in=counters.bytes_in,
            packets_out=counters.packets_out,
            bytes_out=counters.bytes_out,
        )
        for name, counters in sorted(stats.listeners.items())
    ]
    return pb.AgentMessage(load=pb.Load(listeners=listeners, drops=stats.drops))


def health(reports: Mapping[str, Report]) -> pb.AgentMessage:
    """What the health checks have found. How many backends there are the operator knows."""
    listeners = [
        pb.ListenerHealth(
            name=name,
            unhealthy=len(report.sick),
            sick=[
                pb.SickBackend(address=one.address, port=one.port, reason=reason)
                for one, reason in report.sick[:_SICK_MAX]
            ],
            panic=report.panic,
            obstacle=report.obstacle,
        )
        for name, report in sorted(reports.items())
    ]
    return pb.AgentMessage(health=pb.Health(listeners=listeners))


def advertisement(report: AdvertisementReport) -> pb.AgentMessage:
    """What is announced, and to whom."""
    withheld = list(report.withheld.items())
    return pb.AgentMessage(
        advertisement=pb.Advertisement(
            routing_generation=report.generation,
            peers=[
                pb.PeerState(
                    name=name,
                    established=state.established,
                    error=state.error[:_ERROR_MAX],
                    prefixes=state.prefixes,
                )
                for name, state in report.sessions.items()
            ],
            announced=len(report.announced),
            vips=report.announced[:_VIPS_MAX],
            withheld=len(withheld),
            reasons=[pb.WithheldVIP(vip=vip, reason=reason) for vip, reason in withheld[:_VIPS_MAX]],
            obstacles=report.obstacles,
        )
    )


def sync(report: SyncReport | None) -> pb.AgentMessage:
    """How far the pod knows the flows of the others; None: it is not to, or there is nobody who knows."""
    if report is None:
        return pb.AgentMessage(sync=pb.SyncState())
    return pb.AgentMessage(sync=pb.SyncState(state=report.state, silent=report.silent))
