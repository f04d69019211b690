"""The routers that the VIPs are announced to."""

import re
from ipaddress import IPv4Address

from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.forwarder import AgentBGPPeer, AgentRouting
from skylane_operator.plan.generation import digest_of
from skylane_operator.plan.types import Blocks, Inputs, Password, Reason, Rejected

# What TCP MD5 and the configuration of the routing daemon can carry.
_PASSWORD = re.compile(r"[ !#-~]{1,80}")


def routing_for(inputs: Inputs) -> tuple[AgentRouting | None, tuple[Rejected, ...]]:
    """The peers that can be used (None: no peer is asked for), and why others cannot."""
    load_balancer = inputs.load_balancer
    if not load_balancer.bgp_peers:
        return None, ()
    peers: list[AgentBGPPeer] = []
    rejected: list[Rejected] = []
    taken: dict[tuple[IPv4Address, int], str] = {}
    for index, key in enumerate(load_balancer.bgp_peers):
        found = _peer(inputs, key.name, taken)
        if isinstance(found, AgentBGPPeer):
            taken[found.address, found.port] = found.name
            peers.append(found)
            continue
        field, (reason, message) = f"spec.advertisement.bgpPeers[{index}]", found
        rejected.append(Rejected(load_balancer.key, field, reason, f"{field}: {message}", Blocks.REFERENCE))
    content = [peer.model_dump(mode="json") for peer in peers]
    generation = digest_of(content) if peers else ""
    return AgentRouting(generation=generation, peers=tuple(peers)), tuple(rejected)


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
    if endpoint in taken:
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
