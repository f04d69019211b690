"""What the reference model asks of a new flow, and where it goes. Connections that have ended do not count."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from model.scheduling import Backend, Key, Scheduler
from model.state import Json
from model.wire import TCP, Address, MalformedError

if TYPE_CHECKING:
    from model.fullnat import Model


def admit(model: Model, listener: Json, key: Key) -> None:
    """Refuse the flow, or not.

    Raises:
        MalformedError: the listener does not take it; the reason is the drop's.
    """
    if not takes_source(listener, key[0]):
        raise MalformedError("source_denied")
    scheduler, limit = model.schedulers[listener["name"]], listener.get("max_connections", 0)
    ours = (flow for flow in model.flows.values() if not flow.foreign)
    alive = sum(not flow.closed() for flow in ours if flow.scheduler is scheduler)
    if limit and alive >= limit:
        raise MalformedError("connection_limit")
    limits = listener.get("client_limits", {})
    if (
        limits.get("max_connections")
        and connections_of(model, scheduler, key[0]) >= limits["max_connections"]
    ):
        raise MalformedError("client_limit")
    if limits.get("new_connections_per_second"):
        take_token(model, (scheduler, key[0]), limits["new_connections_per_second"])


def connections_of(model: Model, scheduler: Scheduler, client: Address) -> int:
    """Open connections that were made while there was a limit."""
    flows = (flow for flow in model.flows.values() if flow.scheduler is scheduler and flow.counted)
    return sum(flow.client[0] == client and not flow.closed() for flow in flows)


def take_token(model: Model, client: tuple[Scheduler, Address], rate: int) -> None:
    """A bucket of a second's tokens, one of which comes back every ``interval``.

    Raises:
        MalformedError: it is empty.
    """
    interval, now = 1_024_000 // rate, model.now_ms * 1024
    full_at = max(model.full_at.get(client, 0), now)
    if full_at + interval > now + rate * interval:
        raise MalformedError("client_rate")
    model.full_at[client] = full_at + interval


def takes_source(listener: Json, client: Address) -> bool:
    """Kubernetes' rule: no allowed range means all; what is denied stays denied. They are of the listener's IP version."""
    address = ipaddress.ip_address(client)
    allowed, denied = (
        [ipaddress.ip_network(text) for text in listener.get(f"{kind}_source_ranges", [])]
        for kind in ("allowed", "denied")
    )
    if any(address in network for network in denied):
        return False
    return not allowed or any(address in network for network in allowed)


def half_open(model: Model, family: type) -> list[Key]:
    """TCP connections of a family that are being opened, the oldest first."""
    flows = model.flows.items()
    return [key for key, flow in flows if type(key[0]) is family and flow.phase in ("syn", "syn_ack")]


def make_room(model: Model, family: type, protocol: int) -> None:
    """The oldest half-open connection gives way when there are too many of them, or of flows at all."""
    opening = half_open(model, family)
    if model.live(family) >= model.max_flows or (protocol == TCP and len(opening) >= model.max_half_open):
        model.end(opening[0])


def choose(model: Model, listener: Json, key: Key) -> Backend:
    """The backend of a new flow: another one where the scheduler's is full.

    Raises:
        MalformedError: there is none.
    """
    scheduler, backends = model.schedulers[listener["name"]], model.backends[listener["name"]]

    def takes(backend: Backend) -> bool:
        ours = (flow for flow in model.flows.values() if not flow.foreign)
        alive = sum(not flow.closed() for flow in ours if flow.owner is backend)
        return not backend.limit or alive < backend.limit

    if listener.get("session_affinity_s"):
        return stick(model, listener, key, takes)
    picked = scheduler.pick(listener, backends, key)
    if picked is None:
        raise MalformedError("no_backends")
    if not takes(picked):
        picked = scheduler.pick_among(listener, backends, key, takes)
    if picked is None:
        raise MalformedError("backend_limit")
    return picked


def stick(model: Model, listener: Json, key: Key, takes: Callable[[Backend], bool]) -> Backend:
    """The client's backend while it has one, else the one that its address is hashed to.

    Raises:
        MalformedError: there is none.
    """
    backends, session = model.backends[listener["name"]], (model.schedulers[listener["name"]], key[0])
    known, seen_s = model.sessions.get(session, (None, 0))
    if known not in backends or not known.weight or model.now_s - seen_s >= listener["session_affinity_s"]:
        known = None
    by_hash = {**listener, "scheduler": "sh"}
    picked = known or Scheduler().pick(by_hash, backends, key)
    if picked is None:
        raise MalformedError("no_backends")
    if not takes(picked):
        picked = Scheduler().pick_among(by_hash, backends, key, takes)
    if picked is None:
        raise MalformedError("backend_limit")
    if known is None or picked is known:
        model.sessions[session] = picked, model.now_s
    return picked
