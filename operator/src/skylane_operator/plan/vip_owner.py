"""Which pod of a LoadBalancer the VIPs are granted to (docs/design/l2.md).

A grant stays where it is while its pod forwards: every move ends connections. It has no expiry: who cannot be asked keeps it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from skylane_operator.model.kubernetes import Pod
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.plan.base import ordinals_with_addresses
from skylane_operator.plan.names import pod_name
from skylane_operator.plan.observed import AgentState, Observed

# A forwarder that starts again in its pod is back within a second or two, with its flows: that is no reason to move.
UNREADY_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that may own the VIPs, or does.

    `stays`: it may keep them; Ready, or was so a moment ago. `leaving`: it is on its way out, and its agent can still be told.
    `granted`: it was last told to own them; `holds`: its agent says that it was.
    """

    ordinal: int
    ready: bool = False
    connected: bool = False
    stays: bool = False
    leaving: bool = False
    granted: bool = False
    holds: bool = False

    @property
    def fit(self) -> bool:
        """Whether they may be granted to it: it forwards, and can be told."""
        return self.ready and self.connected


@dataclass(frozen=True, slots=True)
class Grant:
    """To whom the VIPs are granted; None: nobody yet. `known` is False while a pod that may have them has yet to be heard.

    `look_again_s`: it may be another one then, though nothing changes.
    """

    ordinal: int | None
    known: bool = True
    look_again_s: float | None = None


def vip_grant(
    load_balancer: LoadBalancer,
    observed: Observed,
    granted: Collection[str],
    now: datetime,
    *,
    settled: bool,
) -> Grant:
    """Decide. `granted` are the names of the pods that were last told to own the VIPs.

    `settled`: all agents have had time to call.
    """
    names = [
        pod_name(load_balancer.key.name, ordinal)
        for ordinal in range(ordinals_with_addresses(load_balancer.spec))
    ]
    if len(names) == 1:
        return Grant(0)
    if not settled and _unheard_of(observed):
        return Grant(None, known=False)
    candidates = [
        _candidate(ordinal, observed.pods.get(name), observed.agents.get(name), now, granted=name in granted)
        for ordinal, name in enumerate(names)
    ]
    waits = any(one.stays and not one.ready and (one.granted or one.holds) for one in candidates)
    return Grant(vip_owner(candidates), look_again_s=UNREADY_MAX_S if waits else None)


def vip_owner(candidates: Iterable[Candidate]) -> int | None:
    """The ordinal of the pod that the VIPs are granted to; None: nobody, until a pod can have them or has released them."""
    known = sorted(candidates, key=lambda one: (not one.granted, one.ordinal))
    holders = [one for one in known if one.granted or one.holds]
    staying = [one.ordinal for one in holders if one.stays]
    if staying:
        return staying[0]
    fit = [one.ordinal for one in known if one.fit]
    if not fit:
        return holders[0].ordinal if holders else None
    if any(one.leaving and one.holds for one in holders):
        # Its end is planned: first it releases them. Nobody waits for one that is not Ready: it might never answer, and the
        # probes of the new owner keep both from having them.
        return None
    return min(fit)


def _unheard_of(observed: Observed) -> bool:
    """Whether a pod runs whose agent has not called."""
    return any(
        pod.status.phase == "Running" and name not in observed.agents for name, pod in observed.pods.items()
    )


def _candidate(
    ordinal: int, pod: Pod | None, agent: AgentState | None, now: datetime, *, granted: bool
) -> Candidate:
    connected = agent is not None and agent.connected
    ready = pod is not None and pod.is_ready
    leaving = pod is not None and pod.metadata.deletion_timestamp is not None
    return Candidate(
        ordinal,
        ready=ready,
        connected=connected,
        stays=ready or (pod is not None and not leaving and _was_ready_lately(pod, now)),
        leaving=leaving and connected,
        granted=granted and pod is not None,
        holds=agent is not None and agent.holds_vips,
    )


def _was_ready_lately(pod: Pod, now: datetime) -> bool:
    """Whether it has not been Ready for a moment only.

    Two clocks are compared, the kubelet's and ours. What lies far in the future is no moment ago: one of them is wrong, and
    until ours has caught up the VIPs would stay with a dead pod.
    """
    since = [c.last_transition_time for c in pod.status.conditions if c.type == "Ready"]
    began = since[0] if since and since[0] is not None else datetime.min.replace(tzinfo=UTC)
    return abs((now - began).total_seconds()) < UNREADY_MAX_S
