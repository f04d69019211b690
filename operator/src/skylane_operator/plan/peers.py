"""The routers that the VIPs are announced to, by each pod: where its node is may choose them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.forwarder import AgentBGPPeer, AgentRouting
from skylane_operator.model.selector import LabelSelector
from skylane_operator.plan.generation import digest_of
from skylane_operator.plan.names import LOAD_BALANCER_LABEL
from skylane_operator.plan.types import Blocks, Inputs, Password, Reason, Rejected

# What TCP MD5 and the configuration of the routing daemon can carry.
_PASSWORD = re.compile(r"[ !#-~]{1,80}")


NO_PEERS = AgentRouting(generation="", peers=())


@dataclass(frozen=True, slots=True)
class Peers:
    """Those that can be used, in the order of the spec, and the selectors of those that are not for every node.

    `nodes` are the labels of the nodes of pods, by name of the pod, as far as they are known.
    """

    usable: tuple[AgentBGPPeer, ...] = ()
    selectors: Mapping[str, LabelSelector] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def routing_of(self, pod: str) -> AgentRouting | None:
        """What the pod is told; None: nothing new, since it is not known yet where it runs.

        Of two with one address and port the pod has a session with the first.
        """
        if not self.usable:
            return NO_PEERS
        if self.selectors and pod not in self.nodes:
            return None
        chosen: dict[tuple[IPv4Address, int], AgentBGPPeer] = {}
        for peer in self.usable:
            if peer.name not in self.selectors or self.selectors[peer.name].matches(self.nodes[pod]):
                chosen.setdefault((peer.address, peer.port), peer)
        peers = tuple(chosen.values())
        generation = digest_of([peer.model_dump(mode="json") for peer in peers]) if peers else ""
        return AgentRouting(generation=generation, peers=peers)


def peers_for(inputs: Inputs) -> tuple[Peers, tuple[Rejected, ...]]:
    """The peers that can be used, and why others cannot."""
    load_balancer = inputs.load_balancer
    peers: list[AgentBGPPeer] = []
    selectors: dict[str, LabelSelector] = {}
    rejected: list[Rejected] = []
    taken: dict[tuple[IPv4Address, int], str] = {}  # by those that are for every node
    for index, key in enumerate(load_balancer.bgp_peers):
        found = _peer(inputs, key.name, taken)
        if isinstance(found, AgentBGPPeer):
            peers.append(found)
            selector = _selector(inputs, key.name)
            if selector is None:
                taken[found.address, found.port] = found.name
            else:
                selectors[key.name] = selector
            continue
        field, (reason, message) = f"spec.advertisement.bgpPeers[{index}]", found
        rejected.append(Rejected(load_balancer.key, field, reason, f"{field}: {message}", Blocks.REFERENCE))
    nodes = _nodes_of_pods(inputs) if selectors else {}
    return Peers(tuple(peers), selectors, nodes), tuple(rejected)


def _selector(inputs: Inputs, name: str) -> LabelSelector | None:
    peer = inputs.bgp_peers.get(name)
    return peer.spec.node_selector if isinstance(peer, BGPPeer) else None


def _nodes_of_pods(inputs: Inputs) -> dict[str, Mapping[str, str]]:
    labels = {node.metadata.name: node.metadata.labels for node in inputs.nodes}
    key = inputs.load_balancer.key
    return {
        pod.metadata.name: labels[pod.spec.node_name]
        for pod in inputs.pods
        if pod.metadata.namespace == key.namespace
        and pod.metadata.labels.get(LOAD_BALANCER_LABEL) == key.name
        and pod.spec.node_name in labels
    }


def _peer(
    inputs: Inputs, name: str, taken: dict[tuple[IPv4Address, int], str]
) -> AgentBGPPeer | tuple[Reason, str]:
    peer, namespace = inputs.bgp_peers.get(name), inputs.load_balancer.key.namespace
    if peer is None:
        return (
            Reason.BGP_PEER_NOT_FOUND,
            f"BGPPeer {namespace}/{name} does not exist; create it, or correct the name",
        )
    if not isinstance(peer, BGPPeer):
        return Reason.BGP_PEER_INVALID, f"BGPPeer {namespace}/{name}: {peer.message}"
    endpoint = (peer.spec.peer_address, peer.spec.peer_port)
    if endpoint in taken and peer.spec.node_selector is None:
        return (
            Reason.BGP_PEER_INVALID,
            f"BGPPeer {peer.key} has the address and port of BGPPeer {taken[endpoint]}; name one of the two",
        )
    password = _password(inputs, peer)
    if password.fault:
        return Reason.BGP_PASSWORD_UNUSABLE, f"BGPPeer {peer.key}: {password.fault}"
    return _agent_peer(peer, password.text)


def _password(inputs: Inputs, peer: BGPPeer) -> Password:
    secret = peer.password_secret
    if secret is None:
        return Password()
    password = inputs.passwords.get(secret, Password(fault=f"Secret {secret} has not been read yet"))
    if not password.fault and not _PASSWORD.fullmatch(password.text):
        return Password(
            fault=f"Secret {secret}: password must be 1 to 80 printable ASCII characters without quotation marks"
        )
    return password


def _agent_peer(peer: BGPPeer, password: str) -> AgentBGPPeer:
    spec = peer.spec
    return AgentBGPPeer(
        name=peer.key.name,
        address=spec.peer_address,
        port=spec.peer_port,
        peer_asn=spec.peer_asn,
        local_asn=spec.local_asn,
        hold_time_s=spec.hold_time_seconds,
        keepalive_time_s=spec.keepalive_time_seconds or 0,
        multihop=spec.ebgp_multihop or spec.peer_asn == spec.local_asn,
        password=password,
        graceful_restart=spec.graceful_restart,
        communities=spec.communities,
        local_pref=spec.local_pref,
        med=spec.med,
        as_path_prepend=spec.as_path_prepend,
    )
