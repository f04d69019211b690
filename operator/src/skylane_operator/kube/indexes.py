"""Under what Services, slices, peers and pods are found in their stores."""

from collections.abc import Hashable, Iterator

from skylane_operator.kube.usage import is_forwarder
from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import EndpointSlice, Pod, Service
from skylane_operator.plan.names import LOAD_BALANCER_LABEL
from skylane_operator.plan.service_types import is_marked
from skylane_operator.plan.types import InvalidPeer

_SERVICE_LABEL = "kubernetes.io/service-name"


def service_of(piece: EndpointSlice) -> Key:
    """The Service whose endpoints a slice has."""
    return Key(piece.metadata.namespace, piece.metadata.labels.get(_SERVICE_LABEL, ""))


def load_balancer_of(pod: Pod) -> Key:
    """The LoadBalancer of a forwarder's pod."""
    return Key(pod.metadata.namespace, pod.metadata.labels.get(LOAD_BALANCER_LABEL, ""))


def marked_index(service: Service) -> Iterator[Hashable]:
    """Whether we have written its status."""
    if is_marked(service):
        yield True


def password_index(peer: BGPPeer | InvalidPeer) -> Iterator[Hashable]:
    """The Secret of a peer."""
    if isinstance(peer, BGPPeer) and peer.password_secret is not None:
        yield peer.password_secret


def forwarder_index(pod: Pod) -> Iterator[Hashable]:
    """Forwarders, all of them and those of each LoadBalancer."""
    if is_forwarder(pod):
        yield True
        yield load_balancer_of(pod)
