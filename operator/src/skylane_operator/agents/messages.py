"""Between a snapshot's dictionaries (the forwarder's JSON files) and the messages of the stream. The field names are equal."""

from collections.abc import Iterable
from typing import Any

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_operator.plan.observed import (
    AgentAdvertisement,
    AgentHealth,
    AgentListener,
    AgentSession,
    AgentSync,
    SickBackend,
)

Json = dict[str, Any]

# Whatever an agent says, a status has an end.
_MAX_SICK = 10
_MAX_REASON = 128
_MAX_PEERS = 16
_MAX_OBSTACLES = 2  # one of each IP version
_MAX_VIPS = 10

# The file format's version is the agent's to write, not part of the contract.
_NOT_SENT = {"version"}
_LISTS = ("backends", "allowed_source_ranges", "denied_source_ranges")


def base_message(base: Json) -> pb.Base:
    """base.json as a message."""
    return pb.Base(**_sent(base))


def listener_message(listener: Json) -> pb.Listener:
    """listeners/<name>.json as a message."""
    return pb.Listener(**_sent(listener))


def routing_message(routing: Json) -> pb.Routing:
    """Peers as a message."""
    return pb.Routing(**routing)


def advertisement_in(said: pb.Advertisement) -> AgentAdvertisement:
    """What an agent announces."""
    return AgentAdvertisement(
        generation=said.routing_generation,
        sessions=tuple(
            AgentSession(one.name, one.established, one.error[:_MAX_REASON], one.prefixes)
            for one in said.peers[:_MAX_PEERS]
        ),
        announced=said.announced,
        vips=tuple(said.vips[:_MAX_VIPS]),
        withheld=said.withheld,
        reasons=tuple((one.vip, one.reason[:_MAX_REASON]) for one in said.reasons[:_MAX_VIPS]),
        obstacles=tuple(one[:_MAX_REASON] for one in said.obstacles[:_MAX_OBSTACLES]),
    )


def sync_in(said: pb.SyncState) -> AgentSync | None:
    """How far an agent's pod knows the flows of the others; None: it does not say."""
    return AgentSync(said.state[:_MAX_REASON], tuple(said.silent[:_MAX_PEERS])) if said.state else None


def _sent(file: Json) -> Json:
    return {name: value for name, value in file.items() if name not in _NOT_SENT}


def listeners_in(states: Iterable[pb.ListenerState]) -> dict[str, AgentListener]:
    """What an agent says of its listeners, by name."""
    return {state.name: AgentListener(state.generation, state.error, arp=state.arp) for state in states}


def health_in(health: pb.Health) -> dict[str, AgentHealth]:
    """What an agent's health checks have found, by listener."""
    return {
        one.name: AgentHealth(
            unhealthy=one.unhealthy,
            sick=tuple(
                SickBackend(sick.address, sick.port, sick.reason[:_MAX_REASON])
                for sick in one.sick[:_MAX_SICK]
            ),
            panic=one.panic,
            obstacle=one.obstacle[:_MAX_REASON],
        )
        for one in health.listeners
    }


def first_portion(listeners: tuple[Json, ...], max_entries: int) -> tuple[Json, ...]:
    """As many from the start as have at most `max_entries` backends and source ranges together, but at least one."""
    total = 0
    for index, listener in enumerate(listeners):
        total += 1 + sum(len(listener[name]) for name in _LISTS)
        if index and total > max_entries:
            return listeners[:index]
    return listeners
