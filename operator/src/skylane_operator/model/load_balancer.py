"""The `LoadBalancer` resource (skylane.dev/v1alpha1). Held equal to crds/loadbalancer.yaml by a test."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from skylane_operator.model.address import (
    Address,
    AddressIPv6,
    IPAddress,
    VirtualAddress,
)
from skylane_operator.model.base import ReadModel, SpecModel
from skylane_operator.model.condition import Condition
from skylane_operator.model.health_check import HealthCheck
from skylane_operator.model.key import Key
from skylane_operator.model.listener_policy import (
    ClientAddress,
    ClientLimits,
    Limit,
    MassRemovalGuard,
    SessionAffinity,
    SourceRanges,
    TerminatingEndpoints,
    TimeoutSeconds,
)
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.network import DnsLabel, Network
from skylane_operator.model.quantity import units_of
from skylane_operator.model.selector import LabelSelector
from skylane_operator.model.upgrade import UpgradeStatus

API_VERSION = "skylane.dev/v1alpha1"
KIND = "LoadBalancer"
PLURAL = "loadbalancers"
SYNCED_PODS_MAX = 16

Hostname = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$",
        max_length=253,
    ),
]
PoolName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
BinarySize = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}(Mi|Gi)$", max_length=11)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Steering(StrEnum):
    """How replies come back to the worker that has their flow."""

    AUTO = "auto"
    RSS = "rss"
    RING = "ring"


class UnknownTCP(StrEnum):
    """What a TCP segment gets that belongs to no connection."""

    RESET = "reset"
    DROP = "drop"


class PollMode(StrEnum):
    """Whether an idle worker spins (lowest latency) or sleeps (can share its CPU)."""

    BUSY = "busy"
    ADAPTIVE = "adaptive"


class CpuPolicy(StrEnum):
    """Whether a worker owns its CPU."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


class HugepageSize(StrEnum):
    """Page sizes of the x86-64 and arm64 kernels that the forwarder is built for."""

    MIB_2 = "2Mi"
    GIB_1 = "1Gi"


class Protocol(StrEnum):
    """Transport protocols that are balanced."""

    TCP = "TCP"
    UDP = "UDP"


class Scheduler(StrEnum):
    """How the backend of a new flow is chosen."""

    ROUND_ROBIN = "rr"
    WEIGHTED_ROUND_ROBIN = "wrr"
    LEAST_CONNECTIONS = "lc"
    WEIGHTED_LEAST_CONNECTIONS = "wlc"
    SOURCE_HASH = "sh"
    MAGLEV_HASH = "mh"


_WEIGHTLESS = {Scheduler.ROUND_ROBIN, Scheduler.LEAST_CONNECTIONS}


class HashOn(StrEnum):
    """What the schedulers sh and mh hash."""

    SOURCE = "source"
    CONNECTION = "connection"


class BackendRemoval(StrEnum):
    """What becomes of the flows of a backend that is removed."""

    DRAIN = "drain"
    RESET = "reset"


class Cpu(SpecModel):
    """spec.dataplane.cpu."""

    policy: CpuPolicy = CpuPolicy.EXCLUSIVE


class Hugepages(SpecModel):
    """spec.dataplane.hugepages."""

    size: HugepageSize = HugepageSize.MIB_2
    total: BinarySize

    @property
    def total_bytes(self) -> int:
        """All hugepages of one pod."""
        return units_of(self.total)

    @property
    def resource(self) -> str:
        """Name of the node's resource."""
        return f"hugepages-{self.size}"

    @model_validator(mode="after")
    def _total_is_whole_pages(self) -> Self:
        if self.total_bytes % units_of(self.size):
            raise ValueError(f"total {self.total} must be a multiple of the page size {self.size}")
        return self


class SessionSync(SpecModel):
    """spec.dataplane.sessionSync: whether pods know one another's flows."""

    enabled: bool = False
    udp_port: Port = 5407


class Toleration(SpecModel):
    """A core/v1 Toleration."""

    key: Annotated[str, StringConstraints(max_length=317)] | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: Annotated[str, StringConstraints(max_length=63)] | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Dataplane(SpecModel):
    """spec.dataplane: what one forwarder pod is made of."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    poll_mode: PollMode | None = None
    cpu: Cpu = Cpu()
    hugepages: Hugepages
    memory: BinarySize = "512Mi"
    max_flows_per_worker: Annotated[int, Field(ge=1024, le=16777216)] = 262144
    max_half_open_percent: Annotated[int, Field(ge=1, le=100)] = 50
    steering: Steering = Steering.AUTO
    unknown_tcp: Annotated[UnknownTCP, Field(alias="unknownTCP")] = UnknownTCP.RESET
    networks: Annotated[tuple[Network, ...], Field(min_length=1, max_length=2)]
    local_addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=256)]
    local_addresses_ipv6: Annotated[
        tuple[AddressIPv6, ...], Field(alias="localAddressesIPv6", max_length=256)
    ] = ()
    local_addresses_per_replica: Annotated[int, Field(ge=1, le=16)] = 1
    session_sync: SessionSync = SessionSync()
    node_selector: Annotated[dict[str, str], Field(max_length=64, default_factory=dict)]
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] = ()

    @property
    def all_local_addresses(self) -> tuple[IPAddress, ...]:
        """Those of both IP versions."""
        return self.local_addresses + self.local_addresses_ipv6

    @property
    def effective_poll_mode(self) -> PollMode:
        """A worker that owns its CPU may spin on it; one that shares must sleep when idle."""
        if self.poll_mode is not None:
            return self.poll_mode
        return PollMode.BUSY if self.cpu.policy is CpuPolicy.EXCLUSIVE else PollMode.ADAPTIVE

    @model_validator(mode="after")
    def _one_worker_syncs(self) -> Self:
        if self.session_sync.enabled and self.workers != 1:
            raise ValueError("workers must be 1 with sessionSync.enabled")
        return self


class BackendReference(SpecModel):
    """One entry of spec.listeners[].backends: a Service of the LoadBalancer's namespace."""

    service: DnsLabel
    port: Port
    weight: Annotated[int, Field(ge=0, le=65535)] = 1
    max_connections_per_endpoint: Limit | None = None


class Timeouts(SpecModel):
    """spec.listeners[].timeouts: how long an idle flow is kept, by state."""

    established_seconds: TimeoutSeconds = 900
    syn_seconds: TimeoutSeconds = 60
    fin_seconds: TimeoutSeconds = 60
    udp_seconds: TimeoutSeconds = 180


class Listener(SpecModel):
    """One entry of spec.listeners: a virtual address and port, and who serves it."""

    name: DnsLabel
    vip: VirtualAddress
    port: Port
    protocol: Protocol = Protocol.TCP
    hostname: Hostname | None = None
    scheduler: Scheduler = Scheduler.WEIGHTED_ROUND_ROBIN
    hash_on: HashOn = HashOn.SOURCE
    on_backend_removal: BackendRemoval = BackendRemoval.DRAIN
    terminating_endpoints: TerminatingEndpoints = TerminatingEndpoints.DRAIN
    mass_removal_guard: MassRemovalGuard | None = None
    client_address: ClientAddress = ClientAddress.NONE
    slow_start_seconds: Annotated[int, Field(ge=10, le=3600)] | None = None
    session_affinity: SessionAffinity = SessionAffinity()
    max_connections: Limit | None = None
    client_limits: ClientLimits = ClientLimits()
    allowed_source_ranges: SourceRanges = ()
    denied_source_ranges: SourceRanges = ()
    backends: Annotated[tuple[BackendReference, ...], Field(min_length=1, max_length=16)]
    timeouts: Timeouts = Timeouts()
    health_check: HealthCheck | None = None

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if self.session_affinity.effective_seconds and self.hash_on is HashOn.CONNECTION:
            raise ValueError("hashOn must be source with sessionAffinity.type ClientIP")
        if self.slow_start_seconds is not None and self.scheduler in _WEIGHTLESS:
            raise ValueError(
                "scheduler must be wrr, wlc, sh or mh with slowStartSeconds: others do not weigh"
            )
        ranges = self.allowed_source_ranges + self.denied_source_ranges
        if any(network.version != self.vip.version for network in ranges):
            raise ValueError(f"source ranges must be of the IP version of the vip: IPv{self.vip.version}")
        if self.client_address is not ClientAddress.NONE and self.protocol is not Protocol.TCP:
            raise ValueError("clientAddress goes with TCP: leave it out with another protocol")
        return self

    @property
    def endpoint(self) -> "VirtualEndpoint":
        """What no two listeners may share."""
        return (self.vip, self.port, self.protocol)


VirtualEndpoint = tuple[IPAddress, int, Protocol]


class NamespacesFrom(StrEnum):
    """Whose Services may use the LoadBalancer."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class AllowedNamespaces(SpecModel):
    """spec.services.namespaces."""

    from_: Annotated[NamespacesFrom, Field(alias="from")] = NamespacesFrom.SAME
    selector: LabelSelector | None = None

    @model_validator(mode="after")
    def _selector_goes_with_from(self) -> Self:
        if (self.from_ is NamespacesFrom.SELECTOR) != (self.selector is not None):
            raise ValueError("selector must be given with from: Selector, and only then")
        return self


class ServicesPolicy(SpecModel):
    """spec.services: which Services of type LoadBalancer are served, and from which pools they take their addresses."""

    pools: Annotated[tuple[PoolName, ...], Field(min_length=1, max_length=16)]
    namespaces: AllowedNamespaces = AllowedNamespaces()


class Advertisement(SpecModel):
    """spec.advertisement: to whom VIPs are announced."""

    bgp_peers: Annotated[tuple[DnsLabel, ...], Field(min_length=1, max_length=16)]


class LoadBalancerSpec(SpecModel):
    """Spec: what the user asks for."""

    replicas: Annotated[int, Field(ge=1, le=64)] = 1
    dataplane: Dataplane
    listeners: Annotated[tuple[Listener, ...], Field(max_length=256)] = ()
    services: ServicesPolicy | None = None
    advertisement: Advertisement | None = None

    @model_validator(mode="after")
    def _serves_something(self) -> Self:
        if not self.listeners and self.services is None:
            raise ValueError("listeners must hold at least one listener, or services must be given")
        return self

    @model_validator(mode="after")
    def _few_enough_sync(self) -> Self:
        if self.dataplane.session_sync.enabled and self.replicas > SYNCED_PODS_MAX:
            raise ValueError(f"replicas must be at most {SYNCED_PODS_MAX} with dataplane.sessionSync.enabled")
        return self


class UnhealthyBackend(SpecModel):
    """A backend that fails its health check."""

    address: str
    port: int
    pods: tuple[str, ...]
    reason: str


class ListenerStatus(SpecModel):
    """What became of one listener."""

    name: str
    vip: str
    port: int
    protocol: Protocol
    generation: str
    programmed_pods: int
    backends: int
    draining_backends: int | None = None
    held_backends: int | None = None
    starting_backends: int | None = None
    healthy_backends: int | None = None
    unhealthy: tuple[UnhealthyBackend, ...] = ()


class LoadBalancerStatus(SpecModel):
    """Status: what really happened. Only the operator writes it."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    vips: str | None = None
    replicas: str | None = None
    backends: int | None = None
    services: int | None = None
    upgrade: UpgradeStatus | None = None
    listeners: tuple[ListenerStatus, ...] = ()


class LoadBalancer(ReadModel):
    """The object without its status, which we only write."""

    metadata: ObjectMeta
    spec: LoadBalancerSpec

    @property
    def bgp_peers(self) -> tuple[Key, ...]:
        """The BGPPeers that it announces its VIPs to, in the order of the spec."""
        advertisement = self.spec.advertisement
        names = advertisement.bgp_peers if advertisement else ()
        return tuple(Key(self.metadata.namespace, name) for name in names)

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return self.metadata.key
