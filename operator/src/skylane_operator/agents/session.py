"""One stream: what its pod lacks is sent as one Delta, answered by one Ack, and only then is the next one computed.

Whatever changed meanwhile is in that next one: a slow agent gets the latest state, never a queue of old ones.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_operator.agents.messages import (
    advertisement_in,
    base_message,
    first_portion,
    health_in,
    listener_message,
    listeners_in,
    routing_message,
    sync_in,
)
from skylane_operator.agents.registry import Agents
from skylane_operator.errors import AgentError
from skylane_operator.model.key import Key
from skylane_operator.plan.observed import AgentListener
from skylane_operator.snapshot import NO_ROUTING, Delta, delta_for

ACK_TIMEOUT_S = 15.0
# About half a MiB, well below gRPC's limit of 4 MiB a message.
MAX_ENTRIES_A_DELTA = 20_000
# What a listener that is not there has for a generation.
GONE = ""

_log = logging.getLogger(__name__)


class SupersededError(AgentError):
    """The pod has opened a newer stream."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Generations that the Delta under way shall bring about; `GONE` for a listener that it removes."""

    base: str = ""
    listeners: Mapping[str, str] = field(default_factory=dict)
    routing: str | None = None


class Session:
    """State of one stream after its Hello.

    Not thread-safe: all methods run in one event loop.
    """

    def __init__(self, agents: Agents, pod: Key, load_balancer: Key, pod_uid: str) -> None:
        self._agents, self._pod, self._load_balancer, self._pod_uid = agents, pod, load_balancer, pod_uid
        self._wake = asyncio.Event()
        self._acked = asyncio.Event()
        self._superseded = False
        self._base_generation = ""
        self._listeners: dict[str, AgentListener] = {}
        self._dirty: set[str] = set()  # listeners that may differ from what the agent has
        self._refused: dict[str, str] = {}  # listener to the generation that the forwarder did not take
        self._sequence = 0
        self._refused_base = ""
        self._routing_generation = ""
        self._refused_routing: str | None = None  # the generation that the agent did not take
        self._sent = Sent()

    def wake(self, names: Collection[str] | None) -> None:
        """See `Peer`."""
        if names is None:
            self._compare_all()
        else:
            self._dirty.update(names)
        self._wake.set()

    def _compare_all(self) -> None:
        desired = self._agents.desired(self._pod)
        self._dirty.update(self._listeners, desired.listeners if desired else ())

    def supersede(self) -> None:
        """See `Peer`."""
        self._superseded = True
        self._wake.set()
        self._acked.set()

    def open(self, hello: pb.Hello) -> None:
        """Take the agent's first word and make this the pod's stream."""
        self._agents.connected(self._pod, self._load_balancer, self, self._pod_uid)
        self._routing_generation = hello.routing_generation
        self._take(hello.base_generation, listeners_in(hello.listeners))
        self.wake(None)

    def close(self) -> None:
        """The stream has ended."""
        self._agents.disconnected(self._pod, self)

    def receive(self, message: pb.AgentMessage) -> None:
        """Take a later word. Raises AgentError for one that has no place here."""
        kind = message.WhichOneof("message")
        if kind == "ack":
            self._receive_ack(message.ack)
        elif kind == "load":
            self._agents.loaded(self._pod, {one.name: one.active_flows for one in message.load.listeners})
        elif kind == "health":
            self._agents.checked(self._pod, self, health_in(message.health))
        elif kind == "advertisement":
            self._agents.advertised(self._pod, self, advertisement_in(message.advertisement))
        elif kind == "sync":
            self._agents.synced(self._pod, self, sync_in(message.sync))
        else:
            raise AgentError(f"{self._pod} sent {kind or 'nothing'} where an Ack or a report was due")

    async def deltas(self) -> AsyncIterator[pb.OperatorMessage]:
        """What to send, when it is due. Raises SupersededError, and AgentError if an Ack does not come."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (delta := self._due()) is not None:
                self._sequence += 1
                self._acked.clear()
                yield _message(self._sequence, delta)
                await self._answer()
            if self._superseded:
                raise SupersededError(f"{self._pod} has opened a newer stream")

    async def _answer(self) -> None:
        try:
            # Not wait_for(): before Python 3.12 it loses a cancellation that comes together with the event.
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await self._acked.wait()
        except TimeoutError as late:
            raise AgentError(
                f"{self._pod} did not answer Delta {self._sequence} within {ACK_TIMEOUT_S:g} s"
            ) from late

    def _due(self) -> Delta | None:
        snapshot = None if self._superseded else self._agents.desired(self._pod)
        if snapshot is None:
            return None
        running = {name: self._listeners[name].generation for name in self._dirty & self._listeners.keys()}
        delta = self._without_refused(delta_for(snapshot, self._base_generation, running, self._dirty))
        self._dirty.clear()
        if delta.empty:
            return None
        upserts = first_portion(delta.upserts, MAX_ENTRIES_A_DELTA)
        self._dirty.update(listener["name"] for listener in delta.upserts[len(upserts) :])
        wanted = {listener["name"]: listener["generation"] for listener in upserts}
        wanted |= dict.fromkeys(delta.removals, GONE)
        self._sent = Sent(
            base=delta.base["generation"] if delta.base else "",
            listeners=wanted,
            routing=delta.routing["generation"] if delta.routing else None,
        )
        return Delta(delta.base, upserts, delta.removals, delta.routing)

    def _receive_ack(self, ack: pb.Ack) -> None:
        if ack.sequence not in (0, self._sequence):
            raise AgentError(
                f"{self._pod} answered Delta {ack.sequence}, the last one sent was {self._sequence}"
            )
        said = listeners_in(ack.listeners)
        self._routing_generation = ack.routing_generation
        if ack.sequence:
            # Of the listeners that the Delta named; those that are not there any more are not in it.
            others = {name: one for name, one in self._listeners.items() if name not in self._sent.listeners}
            self._take(ack.base_generation, others | said)
            self._note_refusals()
            self._note_routing(ack)
            self._acked.set()
        else:
            self._take(ack.base_generation, said)
            self.wake(None)

    def _take(self, base_generation: str, listeners: dict[str, AgentListener]) -> None:
        self._base_generation, self._listeners = base_generation, listeners
        self._agents.said(self._pod, self, base_generation, listeners)

    def _note_refusals(self) -> None:
        for name, generation in self._sent.listeners.items():
            state = self._listeners.get(name, AgentListener(GONE))
            if state.generation == generation:
                self._refused.pop(name, None)
            else:
                # Refused; or written to disk only, and an unasked Ack follows when the forwarder runs it.
                self._refused[name] = generation
                if state.error:
                    _log.warning("%s: listener %s: %s", self._pod, name, state.error)
        if self._sent.base and self._sent.base != self._base_generation:
            self._refused_base = self._sent.base

    def _note_routing(self, ack: pb.Ack) -> None:
        if self._sent.routing is None:
            return
        taken = self._sent.routing == ack.routing_generation
        self._refused_routing = None if taken else self._sent.routing
        error = (
            "" if taken else ack.routing_error or "its agent knows no BGP peers; it is of an older version"
        )
        if error:
            _log.warning("%s: BGP peers: %s", self._pod, error)
        self._agents.routed(self._pod, self, error)

    def _without_refused(self, delta: Delta) -> Delta:
        # What the forwarder refused once it refuses again: it is sent again in another generation, or on a new stream.
        base = None if delta.base is None or delta.base["generation"] == self._refused_base else delta.base
        upserts = tuple(one for one in delta.upserts if self._refused.get(one["name"]) != one["generation"])
        removals = tuple(name for name in delta.removals if self._refused.get(name) != GONE)
        return Delta(base, upserts, removals, self._routing_due())

    def _routing_due(self) -> dict[str, Any] | None:
        snapshot = self._agents.desired(self._pod)
        routing = snapshot.routing if snapshot is not None else NO_ROUTING
        known = (self._routing_generation, self._refused_routing)
        return None if routing is None or routing["generation"] in known else routing


def _message(sequence: int, delta: Delta) -> pb.OperatorMessage:
    return pb.OperatorMessage(
        delta=pb.Delta(
            sequence=sequence,
            base=None if delta.base is None else base_message(delta.base),
            upserts=[listener_message(listener) for listener in delta.upserts],
            removals=delta.removals,
            routing=None if delta.routing is None else routing_message(delta.routing),
        )
    )
