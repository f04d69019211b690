"""Whether every pod knows the flows of the others: the verdict of the condition SessionSync, where the spec asks for it."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from skylane_operator.plan.base import syncs
from skylane_operator.plan.observed import COMPLETE, CONFLICT, JOINING, Observed
from skylane_operator.plan.types import Plan

_MAX_NAMED = 5

Reason = Literal["Complete", "NoPeers", "NotReported", "Joining", "PeerSilent", "AddressTaken"]


class SessionSync(NamedTuple):
    """`Complete` is the reason of a true condition, `NotReported` of an unknown one."""

    reason: Reason
    message: str


def session_sync(plan: Plan, observed: Observed) -> SessionSync | None:
    """None where the spec does not ask for it. The worst comes first: what other pods would lose with one that ends."""
    dataplane = plan.load_balancer.spec.dataplane
    if not dataplane.session_sync.enabled:
        return None
    if not syncs(dataplane):
        return SessionSync(
            "NoPeers",
            "spec.dataplane has addresses for one pod only, which has nobody to tell of its flows; add some for another one",
        )
    troubles: tuple[tuple[Reason, Iterator[str]], ...] = (
        ("AddressTaken", _taken(plan, observed)),
        ("PeerSilent", _silent(plan, observed)),
        ("Joining", _joining(plan, observed)),
    )
    for reason, found in troubles:
        if texts := list(found):
            return SessionSync(reason, _joined(texts))
    return _all_well(plan, observed)


def _ready(plan: Plan, observed: Observed) -> dict[int, str]:
    """Names of the pods that are Ready, by ordinal."""
    pods = observed.pods
    return {pod.ordinal: pod.name for pod in plan.pods if pod.name in pods and pods[pod.name].is_ready}


def _silent(plan: Plan, observed: Observed) -> Iterator[str]:
    """A pod that is not Ready may well be silent; one that is should be heard."""
    ready = _ready(plan, observed)
    port = plan.load_balancer.spec.dataplane.session_sync.udp_port
    for name in ready.values():
        agent = observed.agents.get(name)
        for peer in agent.sync.silent if agent is not None and agent.sync is not None else ():
            if peer in ready:
                yield (
                    f"pod {name} does not hear pod {ready[peer]}, though that is Ready; "
                    f"see whether the first network lets UDP port {port} through between them"
                )


def _taken(plan: Plan, observed: Observed) -> Iterator[str]:
    for name in _in_state(plan, observed, CONFLICT):
        yield (
            f"pod {name} serves nobody, for another machine answers for its local addresses; "
            "take them from that one, or give others in spec.dataplane.localAddresses"
        )


def _joining(plan: Plan, observed: Observed) -> Iterator[str]:
    for name in _in_state(plan, observed, JOINING):
        yield f"pod {name} is being told the flows of the other pods"


def _all_well(plan: Plan, observed: Observed) -> SessionSync:
    complete = list(_in_state(plan, observed, COMPLETE))
    mute = [name for name in _ready(plan, observed).values() if name not in complete]
    if mute or not complete:
        whose = f"pod {', '.join(mute)}" if mute else "any pod"
        return SessionSync("NotReported", f"the agent of {whose} has not told of its flows")
    if len(complete) == 1:
        return SessionSync("Complete", f"pod {complete[0]} runs alone, and tells others once they are there")
    return SessionSync("Complete", f"each of {len(complete)} pods knows the flows of the others")


def _in_state(plan: Plan, observed: Observed, state: str) -> Iterator[str]:
    for pod in plan.pods:
        agent = observed.agents.get(pod.name)
        if agent is not None and agent.connected and agent.sync is not None and agent.sync.state == state:
            yield pod.name


def _joined(parts: list[str]) -> str:
    more = len(parts) - _MAX_NAMED
    return "; ".join(parts[:_MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")
