"""The forwarder's file format: `base.json` and `listeners/<name>.json`, field for field."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, Literal

from pydantic import Field

from skylane_operator.model.address import IPAddress, IPNetwork
from skylane_operator.model.base import FileModel
from skylane_operator.model.load_balancer import (
    BackendRemoval,
    HashOn,
    PollMode,
    Scheduler,
    Steering,
    UnknownTCP,
)
from skylane_operator.model.network import Driver

FORMAT_VERSION: Literal[1] = 1
NO_LIMIT = 0
NO_AFFINITY = 0


class ForwarderPort(FileModel):
    """One network device of the forwarder."""

    name: str
    driver: Driver
    interface: str
    resource: str
    address: IPv4Interface
    gateway: IPv4Address
    address6: IPv6Interface | None = None
    gateway6: IPv6Address | None = None
    mtu: int = 1500
    vlan: int | None = None


class ForwarderPeer(FileModel):
    """Another pod that has flows: its address on the first port, and the local addresses that are its own."""

    ordinal: int
    address: IPv4Address
    local_addresses: tuple[IPAddress, ...]


class ForwarderSync(FileModel):
    """Session sync: who this pod is, and who the others are. The key of `key_file` is known to these pods alone."""

    ordinal: int
    udp_port: int
    key_file: str
    peers: tuple[ForwarderPeer, ...]


class ForwarderBase(FileModel):
    """base.json: what never changes inside a running pod."""

    version: Literal[1] = FORMAT_VERSION
    generation: str = ""
    workers: int
    poll_mode: PollMode
    max_flows_per_worker: int
    half_open_percent: int
    unknown_tcp: UnknownTCP
    steering: Steering
    ports: tuple[ForwarderPort, ...]
    local_addresses: tuple[IPAddress, ...]
    sync: ForwarderSync | None = None


class ForwarderTimeouts(FileModel):
    """Idle time until a flow is forgotten, by state."""

    established_s: int
    syn_s: int
    fin_s: int
    udp_s: int


class ForwarderBackend(FileModel):
    """One endpoint (address as text) and its weight relative to the others of the same listener.

    `draining` is for the agent, no part of the forwarder's file: the endpoint terminates, and weighs nothing.
    """

    address: str
    port: int
    weight: int
    max_connections: int = NO_LIMIT
    draining: Literal[True] | None = None


class AgentHttpCheck(FileModel):
    """HTTPCheck of the contract."""

    path: str
    host: str
    expected_statuses: tuple[str, ...]


class AgentTlsCheck(FileModel):
    """TLSCheck of the contract."""

    server_name: str
    ca_bundle: str
    insecure_skip_verify: bool


class AgentGrpcCheck(FileModel):
    """GRPCCheck of the contract."""

    service: str


class AgentUdpCheck(FileModel):
    """UDPCheck of the contract."""

    payload: str
    expect: str


class AgentHealthCheck(FileModel):
    """HealthCheck of the contract: for the agent, no part of the forwarder's file. `port` 0: the backend's own."""

    type: Literal["tcp", "http", "https", "grpc", "udp", "icmp"]
    port: int
    interval_ms: int
    timeout_ms: int
    healthy_threshold: int
    unhealthy_threshold: int
    panic_threshold_percent: int
    http: AgentHttpCheck | None = None
    tls: AgentTlsCheck | None = None
    grpc: AgentGrpcCheck | None = None
    udp: AgentUdpCheck | None = None


class ForwarderClientLimits(FileModel):
    """Of each client."""

    max_connections: int = NO_LIMIT
    new_connections_per_second: int = NO_LIMIT


ForwarderClientAddress = Literal["none", "toa", "proxy_v2"]


class ForwarderListener(FileModel):
    """listeners/<name>.json, and the health check from which the agent makes the weights in it."""

    version: Literal[1] = FORMAT_VERSION
    name: str
    generation: str = ""
    vip: IPAddress
    port: int
    protocol: Literal["tcp", "udp"]
    scheduler: Scheduler
    hash_on: HashOn
    on_backend_removal: BackendRemoval
    arp: bool
    timeouts: ForwarderTimeouts
    client_address: ForwarderClientAddress = "none"
    session_affinity_s: int = NO_AFFINITY
    max_connections: int = NO_LIMIT
    client_limits: ForwarderClientLimits = ForwarderClientLimits()
    allowed_source_ranges: tuple[IPNetwork, ...] = ()
    denied_source_ranges: tuple[IPNetwork, ...] = ()
    backends: tuple[ForwarderBackend, ...]
    health_check: AgentHealthCheck | None = None


class AgentBGPPeer(FileModel):
    """BGPPeer of the contract. `keepalive_time_s` 0: a third of the hold time."""

    name: str
    address: IPv4Address
    port: int
    peer_asn: int
    local_asn: int
    hold_time_s: int
    keepalive_time_s: int
    multihop: bool
    password: Annotated[str, Field(repr=False)]
    graceful_restart: bool
    communities: tuple[str, ...]
    local_pref: int | None = None
    med: int | None = None
    as_path_prepend: int


class AgentRouting(FileModel):
    """Routing of the contract."""

    generation: str
    peers: tuple[AgentBGPPeer, ...]
