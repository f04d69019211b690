"""The fields that we read of Kubernetes' own kinds. Names follow the API; `None` lists mean empty lists."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, Field, PlainValidator

from skylane_operator.model.address import IPV4, IPV6
from skylane_operator.model.base import ReadModel
from skylane_operator.model.key import Key
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.quantity import millicores_of, units_of
from skylane_operator.model.readable import readable_conditions

T = TypeVar("T")

# Go clients write an empty list as null.
Items = Annotated[tuple[T, ...], BeforeValidator(lambda value: () if value is None else value)]
# core/v1 DefaultClientIPServiceAffinitySeconds
DEFAULT_AFFINITY_S = 10800
# Conditions of an endpoint, as bits of one number.
READY, SERVING, TERMINATING = 1, 2, 4
VERSIONS = {"IPv4": IPV4, "IPv6": IPV6}
Quantities = Annotated[dict[str, str | int | float], BeforeValidator(lambda value: value or {})]


class ServicePort(ReadModel):
    """One port of a Service."""

    name: str = ""
    port: int
    protocol: str = "TCP"


class ClientIPAffinity(ReadModel):
    """sessionAffinityConfig.clientIP of a Service."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(ReadModel):
    """sessionAffinityConfig of a Service."""

    client_ip: Annotated[ClientIPAffinity | None, Field(alias="clientIP")] = None


class ServiceSpec(ReadModel):
    """Spec of a Service."""

    type: str = "ClusterIP"
    selector: Annotated[dict[str, str], BeforeValidator(lambda value: value or {})] = Field(
        default_factory=dict
    )
    ports: Items[ServicePort] = ()
    load_balancer_class: str | None = None
    load_balancer_ip: Annotated[str, Field(alias="loadBalancerIP")] = ""
    load_balancer_source_ranges: Items[str] = ()
    ip_families: Items[str] = ()
    session_affinity: str = "None"
    session_affinity_config: SessionAffinityConfig | None = None

    @property
    def ip_versions(self) -> tuple[int, ...]:
        """4, 6 or both, the first one first; the API server fills in the cluster's own where the user says nothing."""
        return tuple(VERSIONS[family] for family in self.ip_families if family in VERSIONS) or (
            VERSIONS["IPv4"],
        )

    @property
    def affinity_seconds(self) -> int:
        """How long a client stays with its backend, if it does; three hours unless the Service says otherwise."""
        config = self.session_affinity_config
        given = config.client_ip.timeout_seconds if config and config.client_ip else None
        return DEFAULT_AFFINITY_S if given is None else given


class IngressPoint(ReadModel):
    """One address at which a Service of type LoadBalancer is served."""

    ip: str = ""
    ip_mode: str = ""


class LoadBalancerPoints(ReadModel):
    """status.loadBalancer of a Service."""

    ingress: Items[IngressPoint] = ()


class ServiceCondition(ReadModel):
    """A condition of a Service, with its times: what we write is compared to what is there."""

    type: str
    status: str
    observed_generation: int = 0
    last_transition_time: str = ""
    reason: str = ""
    message: str = ""


class ServiceStatus(ReadModel):
    """Status of a Service."""

    load_balancer: LoadBalancerPoints = LoadBalancerPoints()
    # Nobody checks what writers put there: a condition without its time (null in JSON) is not rare.
    conditions: Annotated[tuple[ServiceCondition, ...], BeforeValidator(readable_conditions)] = ()


class Service(ReadModel):
    """core/v1 Service."""

    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return self.metadata.key


class Namespace(ReadModel):
    """core/v1 Namespace: only its metadata concerns us."""

    metadata: ObjectMeta


class Endpoint(NamedTuple):
    """One endpoint of a slice, in a tenth of what a model takes: a cluster has a hundred thousand of them.

    `conditions` are those of READY, SERVING and TERMINATING that hold. Absent ones are true, but `terminating` (discovery/v1);
    of several addresses only the first counts (KEP-752).
    """

    address: str
    conditions: int


def _endpoints(value: object) -> tuple[Endpoint, ...]:
    """Endpoints as JSON has them. Raises ValueError."""
    try:
        return tuple(_endpoint(one) for one in _listed(value))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"endpoints: {error!r}") from error


def _listed(value: object) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _endpoint(body: Mapping[str, Any]) -> Endpoint:
    addresses = body.get("addresses") or ("",)
    given = body.get("conditions") or {}
    conditions = (
        READY * (given.get("ready") is not False)
        | SERVING * (given.get("serving") is not False)
        | TERMINATING * (given.get("terminating") is True)
    )
    return Endpoint(address=str(addresses[0]), conditions=conditions)


class EndpointPort(ReadModel):
    """One port of a slice, with the number that a named target port stands for on these endpoints."""

    name: str | None = None
    port: int | None = None
    protocol: str = "TCP"


class EndpointSlice(ReadModel):
    """discovery/v1 EndpointSlice."""

    metadata: ObjectMeta
    address_type: str
    endpoints: Annotated[tuple[Endpoint, ...], PlainValidator(_endpoints)] = ()
    ports: Items[EndpointPort] = ()


class NetworkAttachmentDefinition(ReadModel):
    """k8s.cni.cncf.io/v1 NetworkAttachmentDefinition: only its metadata concerns us."""

    metadata: ObjectMeta

    @property
    def resource_name(self) -> str | None:
        """The device resource that the attachment says it takes, if it says so."""
        return self.metadata.annotations.get("k8s.v1.cni.cncf.io/resourceName")


class Taint(ReadModel):
    """A taint of a node."""

    key: str
    value: str = ""
    effect: str


class NodeSpec(ReadModel):
    """Spec of a Node."""

    unschedulable: bool = False
    taints: Items[Taint] = ()


class StatusCondition(ReadModel):
    """A condition of a Node or Pod."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class NodeStatus(ReadModel):
    """Status of a Node."""

    allocatable: Quantities = Field(default_factory=dict)
    conditions: Items[StatusCondition] = ()


class Node(ReadModel):
    """core/v1 Node."""

    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def is_ready(self) -> bool:
        """True unless its kubelet reports otherwise."""
        return all(c.status == "True" for c in self.status.conditions if c.type == "Ready")


class ContainerResources(ReadModel):
    """resources of a container."""

    requests: Quantities = Field(default_factory=dict)


class Container(ReadModel):
    """A container, as far as the scheduler counts it."""

    resources: ContainerResources = ContainerResources()
    restart_policy: str | None = None


def _texts(field: str) -> Any:  # noqa: ANN401 - a BeforeValidator
    """Of each entry of a list only the one field."""
    return BeforeValidator(lambda value: tuple(one[field] for one in _listed(value) if one.get(field)))


class PodSpec(ReadModel):
    """Spec of a Pod; of its readiness gates, the types of their conditions."""

    node_name: str | None = None
    containers: Items[Container] = ()
    init_containers: Items[Container] = ()
    overhead: Quantities = Field(default_factory=dict)
    readiness_gates: Annotated[tuple[str, ...], _texts("conditionType")] = ()


class PodStatus(ReadModel):
    """Status of a Pod."""

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    conditions: Items[StatusCondition] = ()
    pod_ips: Annotated[tuple[str, ...], Field(alias="podIPs"), _texts("ip")] = ()


class Pod(ReadModel):
    """core/v1 Pod."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return self.metadata.key

    @property
    def is_finished(self) -> bool:
        """True when the pod holds no resources of its node any more."""
        return self.status.phase in {"Succeeded", "Failed"}

    @property
    def is_ready(self) -> bool:
        """True when the kubelet says so and the pod is not on its way out."""
        ready = any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)
        return ready and self.metadata.deletion_timestamp is None


class StatefulSetStatus(ReadModel):
    """Status of a StatefulSet."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    update_revision: str = ""


class StatefulSet(ReadModel):
    """apps/v1 StatefulSet."""

    metadata: ObjectMeta
    status: StatefulSetStatus = StatefulSetStatus()


def integer_quantities(quantities: dict[str, str | int | float]) -> dict[str, int]:
    """Resources as integers: `cpu` in millicores, everything else in bytes or pieces.

    Raises ValueError for text that is no quantity.
    """
    return {
        name: millicores_of(value) if name == "cpu" else units_of(str(value))
        for name, value in quantities.items()
    }
