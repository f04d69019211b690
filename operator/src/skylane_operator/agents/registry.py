"""What every agent shall have and what it last said: the part of the agents' side that the reconcilers talk to.

A pod's configuration comes from several hands: its LoadBalancer gives the base and the listeners of its own, each Service
of type LoadBalancer and each Gateway those of its ports. Each hand replaces what it gave before, and an agent is told only
what differs: the cost of one change does not grow with the number of these owners.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.plan.observed import (
    AgentAdvertisement,
    AgentHealth,
    AgentListener,
    AgentState,
    AgentSync,
    OwnerState,
)
from skylane_operator.snapshot import OwnedFiles, PodSnapshot


class Peer(Protocol):
    """A stream to the agent of one pod."""

    def wake(self, names: Collection[str] | None) -> None:
        """These listeners of its desired snapshot have changed; None: any may have, and the base."""

    def supersede(self) -> None:
        """A newer stream of the same pod has taken over."""


@dataclass(slots=True)
class Pod:
    """One pod, known because it is planned or because its agent has called. Flows by listener as last reported.

    `planned` is what its LoadBalancer gives, `desired` that and what owners add.
    """

    load_balancer: Key
    uid: str = ""  # of the pod whose agent called last
    planned: PodSnapshot | None = None
    desired: PodSnapshot | None = None
    state: AgentState = field(default_factory=lambda: AgentState(connected=False))
    peer: Peer | None = None
    active_flows: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Balancer:
    """One LoadBalancer: its pods, the files of the owners that it serves, and by name of a listener whose it is."""

    pods: set[Key] = field(default_factory=set)
    files: dict[ObjectKey, OwnedFiles] = field(default_factory=dict)
    owners: dict[str, ObjectKey] = field(default_factory=dict)


class Agents:
    """All pods by key.

    `changed` is told the LoadBalancer whose agents have said something new, `owner_changed` the owner whose listeners
    they have said something new about.
    """

    def __init__(
        self, changed: Callable[[Key], None], owner_changed: Callable[[ObjectKey], None] = lambda _: None
    ) -> None:
        self._changed, self._owner_changed = changed, owner_changed
        self._pods: dict[Key, Pod] = {}
        self._balancers: dict[Key, _Balancer] = {}
        self._serving: dict[ObjectKey, set[Key]] = {}  # to LoadBalancers

    def push(self, load_balancer: Key, snapshots: Mapping[str, PodSnapshot]) -> None:
        """Make these (by pod name) what the LoadBalancer gives its pods; only what differs is sent."""
        for name, snapshot in snapshots.items():
            pod = self._pod(Key(load_balancer.namespace, name), load_balancer)
            if pod.planned != snapshot:
                self._plan(pod, snapshot)
        for key in self._keys_of(load_balancer):
            if key.name not in snapshots:
                self._forget_pod(key)

    def _plan(self, pod: Pod, snapshot: PodSnapshot) -> None:
        files = self._balancers[pod.load_balancer].files.values()
        listeners = dict(snapshot.listeners)
        for one in files:
            listeners.update(one.of(snapshot))
        before = pod.planned
        pod.planned, pod.desired = snapshot, replace(snapshot, listeners=listeners)
        if pod.peer is None:
            return
        if before is None or before.base != snapshot.base or before.owns_vips != snapshot.owns_vips:
            pod.peer.wake(None)
        else:
            pod.peer.wake(_differing(before.listeners, snapshot.listeners))

    def push_owned(self, load_balancer: Key, owner: ObjectKey, files: OwnedFiles) -> None:
        """Make these what the owner adds to the pods of the LoadBalancer; only what differs is sent."""
        balancer = self._balancers.setdefault(load_balancer, _Balancer())
        before = balancer.files.get(owner)
        if before == files:
            return
        balancer.files[owner] = files
        self._serving.setdefault(owner, set()).add(load_balancer)
        gone = (before.answering.keys() if before else set()) - files.answering.keys()
        for name in gone:
            del balancer.owners[name]
        balancer.owners.update(dict.fromkeys(files.answering, owner))
        for pod in [self._pods[key] for key in balancer.pods]:
            if pod.desired is None:
                continue
            mine, earlier = files.of(pod.desired), before.of(pod.desired) if before else {}
            for name in gone:
                pod.desired.listeners.pop(name, None)
            pod.desired.listeners.update(mine)
            if pod.peer is not None:
                pod.peer.wake(_differing(earlier, mine))

    def drop_owned(self, load_balancer: Key, owner: ObjectKey) -> None:
        """The owner is served by the LoadBalancer no longer."""
        balancer = self._balancers.get(load_balancer)
        if balancer is not None and owner in balancer.files:
            self.push_owned(load_balancer, owner, OwnedFiles({}, {}))
            del balancer.files[owner]
            self._serving[owner].discard(load_balancer)
            if not self._serving[owner]:
                del self._serving[owner]
            self._tidy(load_balancer)

    def withdraw(self, owner: ObjectKey, keep: Key | None) -> None:
        """Take the owner's listeners from every LoadBalancer but the one to keep."""
        for load_balancer in self.serving(owner):
            if load_balancer != keep:
                self.drop_owned(load_balancer, owner)

    def serving(self, owner: ObjectKey) -> list[Key]:
        """The LoadBalancers whose pods are given listeners of the owner."""
        return sorted(self._serving.get(owner, ()))

    def forget(self, load_balancer: Key) -> None:
        """The LoadBalancer is gone. Its pods are left as they are until the garbage collector removes them."""
        for key in self._keys_of(load_balancer):
            self._forget_pod(key)

    def states_of(self, load_balancer: Key) -> dict[str, AgentState]:
        """The last word of its agents, by pod name."""
        return {key.name: self._pods[key].state for key in self._keys_of(load_balancer)}

    def granted(self, load_balancer: Key) -> set[str]:
        """The pods that were told to own the VIPs, and not told otherwise since."""
        planned = {key.name: self._pods[key].planned for key in self._keys_of(load_balancer)}
        return {name for name, snapshot in planned.items() if snapshot is not None and snapshot.owns_vips}

    def owners_of(self, load_balancer: Key) -> Mapping[str, ObjectKey]:
        """By name of a listener that is not of the LoadBalancer itself, whose it is."""
        return self._balancers[load_balancer].owners if load_balancer in self._balancers else {}

    def owner_state(self, load_balancer: Key, owner: ObjectKey) -> OwnerState:
        """How far the pods of the LoadBalancer run the listeners of an owner."""
        balancer = self._balancers.get(load_balancer, _Balancer())
        files = balancer.files.get(owner, OwnedFiles({}, {}))
        pods = {key.name: self._pods[key] for key in sorted(balancer.pods)}
        planned = {name: pod for name, pod in pods.items() if pod.desired is not None}
        errors: dict[str, str] = {}
        pending: list[str] = []
        behind: list[str] = []
        health: dict[str, dict[str, AgentHealth]] = {}
        for name, pod in planned.items():
            for listener, file in files.of(pod.desired or PodSnapshot(None, {})).items():
                if "health_check" in file and listener in pod.state.health:
                    health.setdefault(listener, {})[name] = pod.state.health[listener]
                running = pod.state.listeners.get(listener, AgentListener(""))
                if running.generation != file["generation"]:
                    pending.append(name)
                    behind.append(listener)
                    if running.error:
                        errors[name] = running.error
        return OwnerState(
            pods=tuple(planned),
            pending=tuple(dict.fromkeys(pending)),
            errors=errors,
            pending_listeners=frozenset(behind),
            health=health,
        )

    def desired(self, pod: Key) -> PodSnapshot | None:
        """What the pod shall have, if that is known yet."""
        return self._pods[pod].desired if pod in self._pods else None

    def connected(self, pod: Key, load_balancer: Key, peer: Peer, pod_uid: str) -> None:
        """A stream was opened; it replaces an older one of a pod of the same name."""
        entry = self._pod(pod, load_balancer)
        if entry.peer is not None:
            entry.peer.supersede()
        entry.peer, entry.uid = peer, pod_uid

    def said(
        self, pod: Key, peer: Peer, base_generation: str, listeners: Mapping[str, AgentListener]
    ) -> None:
        """What a pod runs, as its agent says in Hello or Ack; `listeners` are all that it runs."""
        entry = self._pods.get(pod)
        if entry is None or entry.peer is not peer:
            return
        # What another pod of this name saw says nothing.
        kept = entry.state if entry.state.pod_uid == entry.uid else AgentState(connected=True)
        state = replace(
            kept,
            connected=True,
            base_generation=base_generation,
            listeners=listeners,
            pod_uid=entry.uid,
        )
        before, entry.state = entry.state, state
        others_differ = replace(before, listeners={}) != replace(state, listeners={})
        if others_differ or before.holds_vips != state.holds_vips:
            self._changed(entry.load_balancer)
        self._tell(entry.load_balancer, _differing(before.listeners, listeners))

    def checked(self, pod: Key, peer: Peer, health: Mapping[str, AgentHealth]) -> None:
        """What a pod's health checks have found, as its agent says in Health."""
        entry = self._pods.get(pod)
        if entry is None or entry.peer is not peer:
            return
        before, entry.state = entry.state.health, replace(entry.state, health=health)
        self._tell(entry.load_balancer, _differing(before, health))

    def _tell(self, load_balancer: Key, listeners: Collection[str]) -> None:
        """Something new was said of these listeners: each concerns its owner alone."""
        owners = self.owners_of(load_balancer)
        for owner in {owners[name] for name in listeners if name in owners}:
            self._owner_changed(owner)
        if any(name not in owners for name in listeners):
            self._changed(load_balancer)

    def advertised(self, pod: Key, peer: Peer, advertisement: AgentAdvertisement) -> None:
        """What a pod announces, as its agent says in Advertisement."""
        entry = self._pods.get(pod)
        if entry is not None and entry.peer is peer and entry.state.advertisement != advertisement:
            entry.state = replace(entry.state, advertisement=advertisement)
            self._changed(entry.load_balancer)

    def synced(self, pod: Key, peer: Peer, sync: AgentSync | None) -> None:
        """How far a pod knows the flows of the others, as its agent says in SyncState."""
        entry = self._pods.get(pod)
        if entry is not None and entry.peer is peer and entry.state.sync != sync:
            entry.state = replace(entry.state, sync=sync)
            self._changed(entry.load_balancer)

    def routed(self, pod: Key, peer: Peer, error: str) -> None:
        """Why a pod's agent has not taken the peers that it was given; empty: it has."""
        entry = self._pods.get(pod)
        if entry is not None and entry.peer is peer and entry.state.routing_error != error:
            entry.state = replace(entry.state, routing_error=error)
            self._changed(entry.load_balancer)

    def loaded(self, pod: Key, active_flows: Mapping[str, int]) -> None:
        """A Load report."""
        if pod in self._pods:
            self._pods[pod].active_flows = active_flows

    def disconnected(self, pod: Key, peer: Peer) -> None:
        """A stream has ended. What the pod ran then is still the best that is known of it."""
        entry = self._pods.get(pod)
        if entry is None or entry.peer is not peer:
            return
        entry.peer = None
        if entry.planned is None:
            self._remove(pod)  # planned no longer, or not yet: its next Hello tells everything
            return
        entry.state = replace(entry.state, connected=False)
        self._changed(entry.load_balancer)

    def connection_count(self) -> int:
        """Streams that are open."""
        return sum(pod.peer is not None for pod in self._pods.values())

    def active_flows(self) -> dict[tuple[Key, str], int]:
        """Flows by LoadBalancer and listener, over all pods."""
        total: dict[tuple[Key, str], int] = {}
        for pod in self._pods.values():
            for listener, flows in pod.active_flows.items():
                entry = (pod.load_balancer, listener)
                total[entry] = total.get(entry, 0) + flows
        return total

    def _pod(self, key: Key, load_balancer: Key) -> Pod:
        if key not in self._pods:
            self._pods[key] = Pod(load_balancer)
            self._balancers.setdefault(load_balancer, _Balancer()).pods.add(key)
        return self._pods[key]

    def _keys_of(self, load_balancer: Key) -> list[Key]:
        return sorted(self._balancers[load_balancer].pods) if load_balancer in self._balancers else []

    def _forget_pod(self, key: Key) -> None:
        # An agent that is still there keeps its entry, so that it is served again should its pod be planned again.
        if self._pods[key].peer is None:
            self._remove(key)
        else:
            self._pods[key].planned = self._pods[key].desired = None

    def _remove(self, key: Key) -> None:
        load_balancer = self._pods.pop(key).load_balancer
        self._balancers[load_balancer].pods.discard(key)
        self._tidy(load_balancer)

    def _tidy(self, load_balancer: Key) -> None:
        balancer = self._balancers[load_balancer]
        if not balancer.pods and not balancer.files:
            del self._balancers[load_balancer]


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """Names under which the two hold something else."""
    # Thousands are the same object as before: to look for that first costs a tenth of comparing them.
    differing = {
        name for name, value in after.items() if (known := before.get(name)) is not value and known != value
    }
    return differing | (before.keys() - after.keys())
