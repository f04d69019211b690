"""Who announces what to whom: the verdict of the condition Advertised, for a LoadBalancer that names BGP peers."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from skylane_operator.plan.observed import AgentAdvertisement, AgentSession, AgentState, Observed
from skylane_operator.plan.types import Plan, PodPlan

_MAX_NAMED = 5

Reason = Literal["Advertised", "PartiallyAdvertised", "PeersDown", "GatewaySilent", "Withheld"]


class Advertised(NamedTuple):
    """`Advertised` alone is the reason of a true condition."""

    reason: Reason
    message: str


def advertised(plan: Plan, observed: Observed) -> Advertised:
    """Whether every pod has its session with every peer, and what it announces over them.

    A VIP without backends is withheld on purpose: that other VIPs are announced is then still true.
    """
    if not plan.peers:
        return Advertised("PeersDown", "none of the BGPPeers can be used; see the condition ResolvedRefs")
    agents = {pod.name: observed.agents.get(pod.name, AgentState(connected=False)) for pod in plan.pods}
    said = {name: agent.advertisement or AgentAdvertisement() for name, agent in agents.items()}
    gaps = [gap for pod in plan.pods for gap in _gaps(pod, agents[pod.name])]
    told = [text for name, one in said.items() for text in _told(name, one)]
    withheld = [text for name, one in said.items() for text in _withheld(name, one)]
    if not any(session.established for one in said.values() for session in one.sessions):
        return Advertised("PeersDown", _joined(gaps))
    if not any(one.announced for one in said.values()) and any(one.obstacles for one in said.values()):
        return Advertised("GatewaySilent", _joined(gaps))
    if not any(one.announced for one in said.values()) and withheld:
        return Advertised("Withheld", _joined([*withheld, *gaps]))
    if gaps:
        return Advertised("PartiallyAdvertised", _joined([*gaps, *told]))
    return Advertised("Advertised", _joined([*told, *withheld]) or "there is no VIP to announce yet")


def _gaps(pod: PodPlan, agent: AgentState) -> Iterator[str]:
    said = agent.advertisement or AgentAdvertisement()
    if agent.routing_error:
        yield f"pod {pod.name} has not taken its peers: {agent.routing_error}"
    yield from (f"pod {pod.name} cannot be reached over its NICs: {obstacle}" for obstacle in said.obstacles)
    by_peer = {session.peer: session for session in said.sessions}
    if pod.routing is None:
        yield f"pod {pod.name} is on no node yet, as far as is known"
    elif not pod.routing.peers:
        yield f"pod {pod.name} is on a node that the nodeSelector of no BGPPeer selects"
    for peer in pod.routing.peers if pod.routing else ():
        session = by_peer.get(peer.name, AgentSession(peer.name, established=False))
        if not session.established:
            why = f": {session.error}" if session.error else ", not established yet"
            yield f"pod {pod.name} has no session with {peer.name} ({peer.address}){why}"
        elif session.prefixes < said.announced:
            yield (
                f"pod {pod.name} has sent {session.prefixes} of {said.announced} VIPs to {peer.name} ({peer.address}); "
                "see whether it takes both IP versions"
            )


def _told(pod: str, said: AgentAdvertisement) -> Iterator[str]:
    peers = [session.peer for session in said.sessions if session.prefixes]
    if peers and said.announced:
        yield f"pod {pod} announces {_counted(said.vips, said.announced)} to {', '.join(peers)}"


def _withheld(pod: str, said: AgentAdvertisement) -> Iterator[str]:
    if said.withheld:
        vips = _counted(tuple(vip for vip, _ in said.reasons), said.withheld)
        why = "; ".join(dict.fromkeys(reason for _, reason in said.reasons))
        yield f"pod {pod} withholds {vips}: {why}"


def _counted(vips: tuple[str, ...], total: int) -> str:
    shown = vips[:_MAX_NAMED]
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")


def _joined(parts: list[str]) -> str:
    more = len(parts) - _MAX_NAMED
    return "; ".join(parts[:_MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")
