"""What goes into a plan and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from skylane_operator.model.address import IPAddress
from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.forwarder import (
    AgentBGPPeer,
    AgentRouting,
    ForwarderBackend,
    ForwarderBase,
    ForwarderListener,
)
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.kubernetes import (
    EndpointSlice,
    NetworkAttachmentDefinition,
    Node,
    Pod,
    Service,
)
from skylane_operator.model.load_balancer import Listener, LoadBalancer
from skylane_operator.plan.claims import Claims
from skylane_operator.plan.memory import NO_MEMORY, NOTHING, Earlier, Memory
from skylane_operator.plan.removal_guard import Held
from skylane_operator.plan.slow_start import Starting


@dataclass(frozen=True, slots=True)
class InvalidPeer:
    """A BGPPeer that cannot be used, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Password:
    """The text of a password, for nobody's eyes; or why there is none."""

    text: str = field(default="", repr=False)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a plan depends on: whole state in.

    `services` and `endpoint_slices` (those of each Service) are by name, of the LoadBalancer's own namespace.
    `pods` are those of all namespaces, for what they request of their nodes. `other_claims` are the claims of the
    other LoadBalancers; those that share no address with this one may be left out. `assigned_addresses` are those of its
    own addresses that Services of type LoadBalancer or Gateways have, with the owner. `bgp_peers` are by name, of its own
    namespace, `passwords` by Secret. `earlier` is what its listeners have to know. `vip_owner` is the
    ordinal of the pod that the VIPs are granted to; None: nobody.
    """

    load_balancer: LoadBalancer
    services: Mapping[str, Service] = field(default_factory=dict)
    endpoint_slices: Mapping[str, tuple[EndpointSlice, ...]] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    network_attachments: Mapping[Key, NetworkAttachmentDefinition] = field(default_factory=dict)
    other_claims: tuple[Claims, ...] = ()
    assigned_addresses: Mapping[IPAddress, ObjectKey] = field(default_factory=dict)
    bgp_peers: Mapping[str, BGPPeer | InvalidPeer] = field(default_factory=dict)
    passwords: Mapping[Key, Password] = field(default_factory=dict)
    earlier: Earlier = NOTHING
    vip_owner: int | None = 0


class Reason(StrEnum):
    """Why something was rejected; also the reason of the condition that says so."""

    INVALID = "Invalid"
    ADDRESS_CONFLICT = "AddressConflict"
    LISTENER_CONFLICT = "ListenerConflict"
    VIP_IN_LOCAL_RANGE = "VIPInLocalRange"
    SERVICE_NOT_FOUND = "ServiceNotFound"
    SERVICE_PORT_NOT_FOUND = "ServicePortNotFound"
    NETWORK_ATTACHMENT_NOT_FOUND = "NetworkAttachmentNotFound"
    NETWORK_ATTACHMENT_MISMATCH = "NetworkAttachmentMismatch"
    BGP_PEER_NOT_FOUND = "BGPPeerNotFound"
    BGP_PEER_INVALID = "BGPPeerInvalid"
    BGP_PASSWORD_UNUSABLE = "BGPPasswordUnusable"  # noqa: S105 - a reason


REFERENCE_REASONS = frozenset(
    {
        Reason.SERVICE_NOT_FOUND,
        Reason.SERVICE_PORT_NOT_FOUND,
        Reason.NETWORK_ATTACHMENT_NOT_FOUND,
        Reason.NETWORK_ATTACHMENT_MISMATCH,
        Reason.BGP_PEER_NOT_FOUND,
        Reason.BGP_PEER_INVALID,
        Reason.BGP_PASSWORD_UNUSABLE,
    }
)


class Blocks(StrEnum):
    """How far a rejection reaches. Nothing beyond it is disturbed."""

    BASE = "base"  # no pod is made or replaced; running pods keep what they have, listeners are still fed
    LISTENER = "listener"  # this listener is left out
    REFERENCE = "reference"  # this reference to a backend or a peer contributes nothing; the others do


@dataclass(frozen=True, slots=True)
class Rejected:
    """A mistake of the user, as data.

    `field` is the path in the LoadBalancer (`spec.listeners[1].vip`); `message` says what is wrong, with which object,
    and what to do about it. `listener` is the name of the listener that it concerns, if it concerns one.
    """

    key: Key
    field: str
    reason: Reason
    message: str
    blocks: Blocks
    listener: str | None = None


@dataclass(frozen=True, slots=True)
class PodRequests:
    """What one pod asks of its node. Memory and hugepages in bytes, CPU in thousandths."""

    forwarder_millicores: int
    forwarder_memory_bytes: int
    agent_millicores: int
    agent_memory_bytes: int
    bird_millicores: int
    bird_memory_bytes: int
    hugepages_resource: str
    hugepages_bytes: int
    devices: Mapping[str, int]

    @property
    def totals(self) -> dict[str, int]:
        """Resource name to amount, of the whole pod."""
        return {
            "cpu": self.forwarder_millicores + self.agent_millicores + self.bird_millicores,
            "memory": self.forwarder_memory_bytes + self.agent_memory_bytes + self.bird_memory_bytes,
            self.hugepages_resource: self.hugepages_bytes,
            **self.devices,
        }


@dataclass(frozen=True, slots=True)
class Placement:
    """Whether the nodes, as they are, could take all pods. `reason` is empty when they can."""

    fits: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodPlan:
    """One forwarder pod and everything that its forwarder shall run, generations included.

    `owns_vips`: the VIPs are granted to it. `routing` are the peers that it announces them to; None: as before.
    """

    ordinal: int
    name: str
    base: ForwarderBase
    listeners: tuple[ForwarderListener, ...]
    owns_vips: bool
    routing: AgentRouting | None


@dataclass(frozen=True, slots=True)
class ListenerPlan:
    """One listener that is served, with its endpoints in a stable order.

    `last_resort`: none is ready, and those that terminate take new connections. `held` is what its guard against mass removal
    keeps, `starting` who has not its whole share yet.
    """

    listener: Listener
    backends: tuple[ForwarderBackend, ...]
    last_resort: bool = False
    memory: Memory = NO_MEMORY
    held: Held | None = None
    starting: Starting | None = None

    @property
    def staying(self) -> tuple[ForwarderBackend, ...]:
        """Those that do not drain."""
        return tuple(backend for backend in self.backends if not backend.draining)

    @property
    def look_again_s(self) -> float | None:
        """Seconds until it becomes another though nothing changes, if it does."""
        held = [self.held.remaining_s] if self.held is not None else []
        starting = [self.starting.next_s] if self.starting is not None else []
        return min(held + starting, default=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was decided about one LoadBalancer: whole state out.

    `template_generation` changes when what the pods of all ordinals have in common changes. `peers` are those that
    can be used, by whichever pods.
    """

    load_balancer: LoadBalancer
    pods: tuple[PodPlan, ...]
    listeners: tuple[ListenerPlan, ...]
    rejected: tuple[Rejected, ...]
    requests: PodRequests
    placement: Placement
    template_generation: str
    peers: tuple[AgentBGPPeer, ...] = ()

    @property
    def key(self) -> Key:
        """Identity of the LoadBalancer."""
        return self.load_balancer.key

    @property
    def deployable(self) -> bool:
        """True when pods may be made or replaced; when False, no object is rendered and what runs is left alone."""
        return not any(rejected.blocks is Blocks.BASE for rejected in self.rejected)
