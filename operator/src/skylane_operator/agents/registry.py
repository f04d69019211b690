"""What every agent shall have and what it last said: the part of the agents' side that the reconciler talks to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from skylane_operator.model.key import Key
from skylane_operator.plan.observed import AgentListener, AgentState
from skylane_operator.snapshot import PodSnapshot


class Peer(Protocol):
    """A stream to the agent of one pod."""

    def wake(self) -> None:
        """Its desired snapshot has changed."""

    def supersede(self) -> None:
        """A newer stream of the same pod has taken over."""


@dataclass(slots=True)
class Pod:
    """One pod, known because it is planned or because its agent has called. Flows by listener as last reported."""

    load_balancer: Key
    uid: str = ""  # of the pod whose agent called last
    desired: PodSnapshot | None = None
    state: AgentState = field(default_factory=lambda: AgentState(connected=False))
    peer: Peer | None = None
    active_flows: Mapping[str, int] = field(default_factory=dict)


class Agents:
    """All pods by key. `changed` is told the LoadBalancer whose agents have said something new."""

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._pods: dict[Key, Pod] = {}
        self._by_load_balancer: dict[Key, set[Key]] = {}

    def push(self, load_balancer: Key, snapshots: Mapping[str, PodSnapshot]) -> None:
        """Make these (by pod name) what the agents of the LoadBalancer shall have; only what differs is sent."""
        for name, snapshot in snapshots.items():
            pod = self._pod(Key(load_balancer.namespace, name), load_balancer)
            if pod.desired != snapshot:
                pod.desired = snapshot
                if pod.peer is not None:
                    pod.peer.wake()
        for key in self._keys_of(load_balancer):
            if key.name not in snapshots:
                self._forget_pod(key)

    def forget(self, load_balancer: Key) -> None:
        """The LoadBalancer is gone. Its pods are left as they are until the garbage collector removes them."""
        for key in self._keys_of(load_balancer):
            self._forget_pod(key)

    def states_of(self, load_balancer: Key) -> dict[str, AgentState]:
        """The last word of its agents, by pod name."""
        return {key.name: self._pods[key].state for key in self._keys_of(load_balancer)}

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
        """What a pod runs, as its agent says in Hello or Ack."""
        entry = self._pods.get(pod)
        if entry is None or entry.peer is not peer:
            return
        state = AgentState(
            connected=True, base_generation=base_generation, listeners=listeners, pod_uid=entry.uid
        )
        if state != entry.state:
            entry.state = state
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
        if entry.desired is None:
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
            self._by_load_balancer.setdefault(load_balancer, set()).add(key)
        return self._pods[key]

    def _keys_of(self, load_balancer: Key) -> list[Key]:
        return sorted(self._by_load_balancer.get(load_balancer, ()))

    def _forget_pod(self, key: Key) -> None:
        # An agent that is still there keeps its entry, so that it is served again should its pod be planned again.
        if self._pods[key].peer is None:
            self._remove(key)
        else:
            self._pods[key].desired = None

    def _remove(self, key: Key) -> None:
        load_balancer = self._pods.pop(key).load_balancer
        siblings = self._by_load_balancer[load_balancer]
        siblings.discard(key)
        if not siblings:
            del self._by_load_balancer[load_balancer]
