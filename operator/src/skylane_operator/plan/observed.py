"""What is really there, as far as status and pod replacement need to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skylane_operator.model.key import ObjectKey
from skylane_operator.model.kubernetes import Pod, StatefulSet

JOINING, COMPLETE, CONFLICT = "joining", "complete", "conflict"  # states of a pod's session sync


@dataclass(frozen=True, slots=True)
class AgentListener:
    """A listener as its forwarder runs it; `error` says why the newest generation was not taken.

    `arp`: its VIP is granted to the pod.
    """

    generation: str
    error: str = ""
    arp: bool = False


@dataclass(frozen=True, slots=True)
class SickBackend:
    """A backend that fails its health check; `reason` is what the probe met."""

    address: str
    port: int
    reason: str


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """What one agent's health check of a listener has found. `sick` are the first of the `unhealthy`, by address.

    `panic`: so few are healthy that all get their weights. `obstacle` says why probes cannot be made.
    """

    unhealthy: int
    sick: tuple[SickBackend, ...] = ()
    panic: bool = False
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class AgentSession:
    """A BGP session of a pod; `error` says why it is not established, as far as that is known. `prefixes` were sent over it."""

    peer: str
    established: bool
    error: str = ""
    prefixes: int = 0


@dataclass(frozen=True, slots=True)
class AgentAdvertisement:
    """What one agent announces. `vips` are the first of the `announced`, `reasons` those of the `withheld`, by VIP.

    `generation` is that of the peers that its routing daemon runs. `obstacles` are why nothing of an IP version can be announced.
    """

    generation: str = ""
    sessions: tuple[AgentSession, ...] = ()
    announced: int = 0
    vips: tuple[str, ...] = ()
    withheld: int = 0
    reasons: tuple[tuple[str, str], ...] = ()
    obstacles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentSync:
    """How far a pod knows the flows of the others: joining, complete, or in conflict with who has its local addresses.

    `silent` are the ordinals of peers that it has not heard lately.
    """

    state: str
    silent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentState:
    """The last word of one agent. `base_generation` is empty while the forwarder has no base.

    `pod_uid` is that of the pod that it runs in. `health` has the listeners that have a check. `routing_error` says why it has not
    taken the peers that it was last given; `advertisement` is None until it has spoken of them, and so is `sync` until its
    forwarder has spoken of it.
    """

    connected: bool
    base_generation: str = ""
    listeners: Mapping[str, AgentListener] = field(default_factory=dict)
    pod_uid: str = ""
    health: Mapping[str, AgentHealth] = field(default_factory=dict)
    routing_error: str = ""
    advertisement: AgentAdvertisement | None = None
    sync: AgentSync | None = None

    @property
    def holds_vips(self) -> bool:
        """Whether VIPs are granted to its pod, as far as the pod knows."""
        return any(listener.arp for listener in self.listeners.values())


@dataclass(frozen=True, slots=True)
class Observed:
    """Pods (this LoadBalancer's only) and agents by pod name; the StatefulSet if it exists.

    `owners` tells, by name of a listener that is not of the LoadBalancer's own spec, whose it is.
    `obstacle` says why pods cannot be made or changed; empty while nothing is in the way.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    stateful_set: StatefulSet | None = None
    agents: Mapping[str, AgentState] = field(default_factory=dict)
    owners: Mapping[str, ObjectKey] = field(default_factory=dict)
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class OwnerState:
    """How far pods run the listeners of one owner: all pods that shall, those that do not yet, and why (by pod name).

    `pending_listeners` are those that some pod does not run yet. `health` is, by listener that has a check, what each pod found
    (by its name) that has told of it.
    """

    pods: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    pending_listeners: frozenset[str] = frozenset()
    errors: Mapping[str, str] = field(default_factory=dict)
    health: Mapping[str, Mapping[str, AgentHealth]] = field(default_factory=dict)
