"""The kinds of the API that we read or write, and their paths."""

from dataclasses import dataclass, replace

from skylane_operator.model.gateway import GATEWAY_GROUP
from skylane_operator.model.key import Key


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind. `group_version` is `v1` for the core group, `group/version` otherwise.

    A kind that is `optional` may be absent without anybody being told. `older` is the version to ask for where the API
    server does not serve this one.
    """

    group_version: str
    kind: str
    plural: str
    namespaced: bool = True
    optional: bool = False
    older: str = ""

    def versions(self) -> tuple["Resource", ...]:
        """The kind in each version that we can do with, the one that we would rather have first."""
        return (self, *((replace(self, group_version=self.older),) if self.older else ()))

    def collection_path(self, namespace: str = "") -> str:
        """Path of all objects, or of those in one namespace."""
        root = "/api" if "/" not in self.group_version else "/apis"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}/{self.group_version}{scope}/{self.plural}"

    def path(self, key: Key) -> str:
        """Path of one object; a cluster-scoped key has an empty namespace."""
        return f"{self.collection_path(key.namespace)}/{key.name}"


SERVICE = Resource("v1", "Service", "services")
POD = Resource("v1", "Pod", "pods")
NODE = Resource("v1", "Node", "nodes", namespaced=False)
NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
SECRET = Resource("v1", "Secret", "secrets")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT = Resource("v1", "ServiceAccount", "serviceaccounts")
ENDPOINT_SLICE = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
LEASE = Resource("coordination.k8s.io/v1", "Lease", "leases")
STATEFUL_SET = Resource("apps/v1", "StatefulSet", "statefulsets")
CONTROLLER_REVISION = Resource("apps/v1", "ControllerRevision", "controllerrevisions")
POD_DISRUPTION_BUDGET = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
EVENT = Resource("events.k8s.io/v1", "Event", "events")
LOAD_BALANCER = Resource("skylane.dev/v1alpha1", "LoadBalancer", "loadbalancers")
VIRTUAL_IP_POOL = Resource("skylane.dev/v1alpha1", "VirtualIPPool", "virtualippools", namespaced=False)
BGP_PEER = Resource("skylane.dev/v1alpha1", "BGPPeer", "bgppeers")
NETWORK_ATTACHMENT = Resource(
    "k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", "network-attachment-definitions"
)
GATEWAY_CLASS = Resource(
    f"{GATEWAY_GROUP}/v1", "GatewayClass", "gatewayclasses", namespaced=False, optional=True
)
GATEWAY = Resource(f"{GATEWAY_GROUP}/v1", "Gateway", "gateways", optional=True)
TCP_ROUTE = Resource(
    f"{GATEWAY_GROUP}/v1", "TCPRoute", "tcproutes", optional=True, older=f"{GATEWAY_GROUP}/v1alpha2"
)
UDP_ROUTE = Resource(
    f"{GATEWAY_GROUP}/v1", "UDPRoute", "udproutes", optional=True, older=f"{GATEWAY_GROUP}/v1alpha2"
)
REFERENCE_GRANT = Resource(f"{GATEWAY_GROUP}/v1beta1", "ReferenceGrant", "referencegrants", optional=True)
DNS_ENDPOINT = Resource("externaldns.k8s.io/v1alpha1", "DNSEndpoint", "dnsendpoints", optional=True)
TOKEN_REVIEW = Resource("authentication.k8s.io/v1", "TokenReview", "tokenreviews", namespaced=False)

# What we make for a LoadBalancer, in the order in which it is removed.
OWNED = (
    POD_DISRUPTION_BUDGET,
    STATEFUL_SET,
    SERVICE,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    NETWORK_POLICY,
)
