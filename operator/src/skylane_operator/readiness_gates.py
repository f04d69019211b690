"""The story of readiness gates: what each listener says of a backend's pod becomes a condition of the pod.

Once it is True it stays: a gate is for pods that come, health checks are for those that are there.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.resource import POD
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.subjects import SharedSubject
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan.in_service import IN_SERVICE, Judgement, declares_gate, judgement_of, worst_of
from skylane_operator.plan.observed import OwnerState
from skylane_operator.plan.types import ListenerPlan


@dataclass(frozen=True, slots=True)
class ReadinessGates:
    """`mark` has a pod looked at; `settled` tells whether every agent has had time to dial since we began."""

    cluster: Cluster
    status: StatusWriter
    mark: Callable[[ObjectKey], None]
    settled: Callable[[], bool]
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    _judged: dict[ObjectKey, dict[Key, Judgement]] = field(default_factory=dict)
    _by_pod: dict[Key, dict[ObjectKey, Judgement]] = field(default_factory=dict)
    _good_since: dict[Key, tuple[str, float]] = field(default_factory=dict)  # with the uid of the pod

    def note(self, owner: ObjectKey, listeners: Iterable[ListenerPlan], state: OwnerState) -> None:
        """What the pods of a LoadBalancer run for a Service, for a Gateway, or of its own listeners."""
        before, after = self._judged.pop(owner, {}), self._judge(listeners, state)
        if after:
            self._judged[owner] = after
        for pod in before.keys() | after.keys():
            judged = self._by_pod.setdefault(pod, {})
            judged.pop(owner, None)
            if pod in after:
                judged[owner] = after[pod]
            if not judged:
                del self._by_pod[pod]
            if before.get(pod) != after.get(pod):
                self.mark(ObjectKey(POD.kind, pod))

    def forget(self, owner: ObjectKey) -> None:
        """It is served no longer."""
        self.note(owner, (), OwnerState())

    def _judge(self, listeners: Iterable[ListenerPlan], state: OwnerState) -> dict[Key, Judgement]:
        gated = self.cluster.gated.all
        found: dict[Key, list[Judgement]] = {}
        for plan in listeners if gated else ():
            for backend in plan.staying:
                for pod in gated.get(backend.address, ()):
                    found.setdefault(pod, []).append(judgement_of(plan, backend, state))
        return {pod: worst_of(judgements) for pod, judgements in found.items()}

    def reconcile(self, key: Key) -> float | None:
        """Write what is to be said of a pod; seconds until it needs a look though nothing changes, if it does."""
        pod = self.cluster.pods.get(key)
        if pod is None or not declares_gate(pod) or pod.metadata.deletion_timestamp is not None:
            self._good_since.pop(key, None)
            self.status.forget(key)
            return None
        if _condition_of(pod).get("status") == "True":
            return None
        judged = worst_of(self._by_pod.get(key, {}).values())
        wait_s = self._unproven_s(pod, judged)
        if judged.reason and not self.settled():
            return None  # agents have yet to tell what they run
        self._write(pod, judged, wait_s)
        return wait_s or None

    def _unproven_s(self, pod: Pod, judged: Judgement) -> float:
        """How much longer it has to be in service to be believed."""
        uid, since = self._good_since.get(pod.key, ("", 0.0))
        if judged.reason:
            self._good_since.pop(pod.key, None)
            return 0.0
        if uid != pod.metadata.uid:
            since = self.clock()
            self._good_since[pod.key] = (pod.metadata.uid, since)
        return max(0.0, since + judged.proof_s - self.clock())

    def _write(self, pod: Pod, judged: Judgement, wait_s: float) -> None:
        before = _condition_of(pod)
        if judged.reason:
            said = ("False", judged.reason, judged.message)
        elif wait_s:
            said = ("False", "HealthUnproven", "its health checks have not had time to fail yet")
        else:
            said = ("True", "InService", "every LoadBalancer pod that serves it has it in service")
        if said[0] == before.get("status") and said[1] == before.get("reason"):
            return  # a message alone is not worth a write
        turned = said[0] != before.get("status")
        condition = dict(zip(("status", "reason", "message"), said, strict=True))
        condition |= {
            "type": IN_SERVICE,
            "lastTransitionTime": _text(self.now()) if turned else before["since"],
        }
        subject = SharedSubject(pod.key, pod.metadata.uid, {"conditions": [before]} if before else {})
        self.status.write(subject, {"conditions": [condition]})


def _condition_of(pod: Pod) -> dict[str, Any]:
    for one in pod.status.conditions:
        if one.type == IN_SERVICE:
            since = one.last_transition_time
            return {"status": one.status, "reason": one.reason, "since": _text(since) if since else None}
    return {}


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
