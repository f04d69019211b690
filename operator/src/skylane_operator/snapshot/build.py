"""Snapshots per pod, and the difference to what an agent runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skylane_operator.model.forwarder import ForwarderListener
from skylane_operator.plan.owned import OwnedPlan
from skylane_operator.plan.types import Plan

NO_ROUTING: dict[str, Any] = {"generation": "", "peers": []}


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """Whole configuration of one pod: `base.json`, and `listeners/<name>.json` by name, as the files say it.

    What is not set is left out. A listener has its health check beside what its file says.

    `base` is None when the plan's base was rejected: a pod that has no base yet waits, one that has goes on.
    `owns_vips`: the VIPs are granted to the pod. `routing` are the peers that it announces them to,
    as the contract names them, with their passwords; None: those that it has.
    """

    base: dict[str, Any] | None
    listeners: dict[str, dict[str, Any]]
    owns_vips: bool = True
    routing: dict[str, Any] | None = field(default_factory=lambda: NO_ROUTING, repr=False)


@dataclass(frozen=True, slots=True)
class OwnedFiles:
    """`listeners/<name>.json` by name of one owner, a Service or Gateway: for the pod that owns the VIPs, and for the others."""

    answering: dict[str, dict[str, Any]]
    silent: dict[str, dict[str, Any]]

    def of(self, pod: PodSnapshot) -> dict[str, dict[str, Any]]:
        """Those that are meant for the pod."""
        return self.answering if pod.owns_vips else self.silent


@dataclass(frozen=True, slots=True)
class Delta:
    """What an agent lacks. `base` is only given to a pod that has none: it never changes inside a running pod.

    `routing` is None when the agent has the peers that it shall have.
    """

    base: dict[str, Any] | None
    upserts: tuple[dict[str, Any], ...]
    removals: tuple[str, ...]
    routing: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def empty(self) -> bool:
        """True when the agent already runs everything."""
        return self.base is None and not self.upserts and not self.removals and self.routing is None


def snapshot_for(plan: Plan) -> dict[int, PodSnapshot]:
    """Ordinal to snapshot."""
    # Pods that differ in nothing share the tuple of their listeners; each tuple is written out once.
    shared = {id(pod.listeners): pod.listeners for pod in plan.pods}
    written = {identity: _written(listeners) for identity, listeners in shared.items()}
    return {
        pod.ordinal: PodSnapshot(
            base=pod.base.model_dump(mode="json", exclude_none=True) if plan.deployable else None,
            listeners=written[id(pod.listeners)],
            owns_vips=pod.owns_vips,
            routing=pod.routing.model_dump(mode="json", exclude_none=True) if pod.routing else None,
        )
        for pod in plan.pods
    }


def owned_files(plan: OwnedPlan) -> OwnedFiles:
    """The files of an owner's listeners. Both kinds share what is most of them: the backends."""
    answering, silent = _written(plan.answering), _written(plan.silent)
    for name, file in silent.items():
        file["backends"] = answering[name]["backends"]
    return OwnedFiles(answering, silent)


def _written(listeners: Iterable[ForwarderListener]) -> dict[str, dict[str, Any]]:
    return {listener.name: listener.model_dump(mode="json", exclude_none=True) for listener in listeners}


def delta_for(
    snapshot: PodSnapshot, base_generation: str, listeners: Mapping[str, str], names: Iterable[str]
) -> Delta:
    """The difference between a snapshot and what an agent says that it runs, as far as the listeners `names` go.

    `base_generation` is empty if the agent has no base; `listeners` maps name to generation. Generations are compared
    for equality only.
    """
    wanted = {name: snapshot.listeners.get(name) for name in sorted(names)}
    return Delta(
        base=snapshot.base if not base_generation else None,
        upserts=tuple(
            listener
            for name, listener in wanted.items()
            if listener is not None and listeners.get(name) != listener["generation"]
        ),
        removals=tuple(name for name, listener in wanted.items() if listener is None and name in listeners),
    )
