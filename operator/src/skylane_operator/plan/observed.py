"""What is really there, as far as status and pod replacement need to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skylane_operator.model.kubernetes import Pod, StatefulSet


@dataclass(frozen=True, slots=True)
class AgentListener:
    """A listener as its forwarder runs it; `error` says why the newest generation was not taken."""

    generation: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class AgentState:
    """The last word of one agent. `base_generation` is empty while the forwarder has no base.

    `pod_uid` is that of the pod that it runs in.
    """

    connected: bool
    base_generation: str = ""
    listeners: Mapping[str, AgentListener] = field(default_factory=dict)
    pod_uid: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """Pods (this LoadBalancer's only) and agents by pod name; the StatefulSet if it exists.

    `obstacle` says why pods cannot be made or changed; empty while nothing is in the way.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    stateful_set: StatefulSet | None = None
    agents: Mapping[str, AgentState] = field(default_factory=dict)
    obstacle: str = ""
