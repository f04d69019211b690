"""Snapshots per pod, and the difference to what an agent runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skylane_operator.plan.types import Plan


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """Whole configuration of one pod: `base.json`, and `listeners/<name>.json` by name, as the files say it.

    `base` is None when the plan's base was rejected: a pod that has no base yet waits, one that has goes on.
    """

    base: dict[str, Any] | None
    listeners: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Delta:
    """What an agent lacks. `base` is only given to a pod that has none: it never changes inside a running pod."""

    base: dict[str, Any] | None
    upserts: tuple[dict[str, Any], ...]
    removals: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """True when the agent already runs everything."""
        return self.base is None and not self.upserts and not self.removals


def snapshot_for(plan: Plan) -> dict[int, PodSnapshot]:
    """Ordinal to snapshot."""
    # Pods that differ in nothing share the tuple of their listeners; each tuple is written out once.
    shared = {id(pod.listeners): pod.listeners for pod in plan.pods}
    written = {
        identity: {listener.name: listener.model_dump(mode="json") for listener in listeners}
        for identity, listeners in shared.items()
    }
    return {
        pod.ordinal: PodSnapshot(
            base=pod.base.model_dump(mode="json") if plan.deployable else None,
            listeners=written[id(pod.listeners)],
        )
        for pod in plan.pods
    }


def delta_for(snapshot: PodSnapshot, base_generation: str, listeners: Mapping[str, str]) -> Delta:
    """The difference between a snapshot and what an agent says that it runs.

    `base_generation` is empty if the agent has no base; `listeners` maps name to generation. Generations are compared
    for equality only.
    """
    return Delta(
        base=snapshot.base if not base_generation else None,
        upserts=tuple(
            listener
            for name, listener in sorted(snapshot.listeners.items())
            if listeners.get(name) != listener["generation"]
        ),
        removals=tuple(sorted(set(listeners) - set(snapshot.listeners))),
    )
