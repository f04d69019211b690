"""Flows that peers tell of, in the reference model."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from model.links import Links
from model.scheduling import Backend, Key
from model.state import Endpoint, Flow
from model.sync import GRACE_S, STATES, Record, Sync
from model.wire import TCP, Datagram, MalformedError

if TYPE_CHECKING:
    from model.fullnat import Model


class Foreign(Links):
    """The part of the model that has to do with session sync."""

    free: dict[type, deque[Endpoint]]
    flows: dict[Key, Flow]
    replies: dict[Endpoint, Flow]

    @property
    def joins(self) -> bool:
        return self.sync is not None and not self.sync.complete

    @property
    def without_flow(self) -> str:
        """The reason for what fits no flow."""
        return "sync_joining" if self.joins else "no_flow"

    def offer(self) -> None:
        """All local ports that no flow has, in order."""
        for family, free in self.free.items():
            free.clear()
            own = ((a, port) for a in self.locals if isinstance(a, family) for port in range(1024, 65536))
            free.extend(place for place in own if place not in self.replies)

    def run_sync(self, now_ms: int) -> None:
        if not self.sync:
            return
        for peer in self.sync.peers.values():
            self.look_up(self.ports[0], peer.address)
        if self.sync.run(now_ms):
            self.offer()


def hear(model: Model, sync: Sync, datagram: Datagram) -> None:
    """Take what a datagram of a peer says."""
    for record in sync.hear(datagram, model.now_ms):
        if record and record.local[0] in model.locals + model.foreign and record.local[1] >= 1024:
            take_record(model, record)


def take_record(model: Model, record: Record) -> None:
    key = (*record.client, *record.vip, record.protocol)
    seen_s, created_s = model.now_s - record.idle_s, model.now_s - record.age_s
    there, own = model.replies.get(record.local), record.local[0] in model.locals
    if there and (there.client, there.vip, there.protocol, there.backend) == (
        record.client,
        record.vip,
        record.protocol,
        record.backend,
    ):
        if seen_s < there.created_s:
            return
        if not there.foreign or there.last_seen_s >= created_s:
            take_news(model, there, record.state, seen_s)
            return
    if own and not model.joins:
        return
    if there:
        model.end((*there.client, *there.vip, there.protocol))
    other = model.flows.get(key)
    if other and not other.foreign and not other.closed() and not model.joins:
        return
    if other:
        model.end(key)
    insert_record(model, record, key, foreign=not own)


def insert_record(model: Model, record: Record, key: Key, *, foreign: bool) -> None:
    listener = model.listeners.get(key[2:])
    if not listener:
        return
    had = (b for b in model.backends[listener["name"]] if (b.address, b.port) == record.backend)
    owner = next(had, None)
    if not owner and listener.get("on_backend_removal") == "reset":
        return
    flow = Flow(
        record.client, record.vip, record.local, record.backend, record.protocol,
        owner or Backend(*record.backend, 0), model.schedulers[listener["name"]], listener["timeouts"],
        model.now_s - record.idle_s, STATES[record.state], foreign=foreign, created_s=model.now_s - record.age_s,
    )  # fmt: skip
    flow.ends = {"client"} if record.state == 5 else {"backend"} if record.state == 6 else set()
    model.set_timeout(flow)
    flow.timeout_s += GRACE_S if foreign else 0
    if record.idle_s >= flow.timeout_s:
        return
    try:
        way_back = model.look_up(model.ports[0], record.client[0])
        flow.hops = {way_back, model.look_up(model.local_port(record.local[0]), record.backend[0])}
    except MalformedError:
        return
    model.flows[key] = model.replies[record.local] = flow
    if not foreign:
        flow.owner.active += 1
        flow.counted = bool(listener.get("client_limits", {}).get("max_connections"))


def take_news(model: Model, flow: Flow, state: int, seen_s: int) -> None:
    """The later of both, and the end that either saw."""
    flow.last_seen_s = max(flow.last_seen_s, seen_s)
    if flow.protocol != TCP or flow.closed() or flow.phase in ("syn", "syn_ack") or state == 4:
        return
    before = (flow.phase, frozenset(flow.ends))
    flow.phase = STATES[state]
    flow.ends |= {"client"} if state == 5 else {"backend"} if state == 6 else set()
    if before != (flow.phase, frozenset(flow.ends)):
        model.set_timeout(flow)
        flow.timeout_s += GRACE_S if flow.foreign else 0
