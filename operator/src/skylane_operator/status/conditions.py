"""The conditions of a LoadBalancer (KEP-1623). A reason names the kind of trouble, a message the object and the mend."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan.listeners import distinct_endpoints
from skylane_operator.plan.observed import JOINING, AgentState, Observed
from skylane_operator.plan.types import REFERENCE_REASONS, Plan, Rejected
from skylane_operator.status.advertised import advertised
from skylane_operator.status.health import backend_troubles, worst_of
from skylane_operator.status.programmed import programming_gaps, ready_pods
from skylane_operator.status.session_sync import session_sync

_MAX_NAMED = 5


class Verdict(NamedTuple):
    """A condition without its times."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def true(condition: str, reason: str, message: str) -> Verdict:
    """A condition that holds."""
    return Verdict(condition, "True", reason, message)


def false(condition: str, reason: str, message: str) -> Verdict:
    """A condition that does not."""
    return Verdict(condition, "False", reason, message)


def verdicts_for(plan: Plan, observed: Observed) -> list[Verdict]:
    """Every condition; `Ready` last, which names the first of the others that keeps it from being true."""
    verdicts = [judge(plan, observed) for judge in _JUDGES]
    verdicts += _session_sync(plan, observed)
    return [*verdicts, _ready(verdicts)]


def _accepted(plan: Plan, _observed: Observed) -> Verdict:
    return _by_rejections(
        "Accepted",
        "Accepted",
        "the whole spec is in use",
        (r for r in plan.rejected if r.reason not in REFERENCE_REASONS),
    )


def _resolved_refs(plan: Plan, _observed: Observed) -> Verdict:
    return _by_rejections(
        "ResolvedRefs",
        "ResolvedRefs",
        "every Service, port and network attachment exists",
        (r for r in plan.rejected if r.reason in REFERENCE_REASONS),
    )


def _by_rejections(condition: str, reason: str, message: str, rejected: Iterable[Rejected]) -> Verdict:
    found = list(rejected)
    if not found:
        return true(condition, reason, message)
    return false(condition, found[0].reason, joined([r.message for r in found], "; "))


def _address_assigned(plan: Plan, _observed: Observed) -> Verdict:
    return _by_rejections(
        "AddressAssigned",
        "StaticAddresses",
        "the VIPs are those that the spec gives",
        (r for r in plan.rejected if r.field.endswith(".vip")),
    )


def _resources_available(plan: Plan, _observed: Observed) -> Verdict:
    if plan.placement.fits:
        return true("ResourcesAvailable", "PodsFit", "the nodes have room for every pod")
    return false("ResourcesAvailable", plan.placement.reason, plan.placement.message)


def _dataplane_ready(plan: Plan, observed: Observed) -> Verdict:
    if observed.obstacle:
        return false("DataplaneReady", "NameTaken", observed.obstacle)
    wanted = plan.load_balancer.spec.replicas
    ready = ready_pods(plan, observed)
    pending = {name: pod for name, pod in observed.pods.items() if pod.status.phase == "Pending"}
    count = f"{ready} of {wanted} pods are Ready"
    if pending:
        details = [f"pod {name}: {_why_pending(pod)}" for name, pod in sorted(pending.items())]
        return false("DataplaneReady", "PodsPending", f"{count}; {joined(details, '; ')}")
    if ready < wanted:
        return false("DataplaneReady", "PodsNotReady", f"{count}{_unready_details(plan, observed)}")
    return true("DataplaneReady", "PodsReady", count)


def _unready_details(plan: Plan, observed: Observed) -> str:
    details = [
        f"pod {name}: {_why_unready(pod, observed.agents.get(name))}"
        for name, pod in sorted(observed.pods.items())
        if not pod.is_ready
    ]
    details += [f"pod {pod.name} does not exist yet" for pod in plan.pods if pod.name not in observed.pods]
    return f"; {joined(details, '; ')}" if details else ""


def _why_pending(pod: Pod) -> str:
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.message or condition.reason
    return "scheduled, its containers are being started"


def _why_unready(pod: Pod, agent: AgentState | None) -> str:
    if pod.metadata.deletion_timestamp is not None:
        return "is being replaced"
    if pod.is_finished:
        # Admission errors of the kubelet (TopologyAffinityError, UnexpectedAdmissionError, ...) never recover.
        return f"{pod.status.phase} {pod.status.reason} {pod.status.message}".rstrip()
    if agent is not None and agent.sync is not None and agent.sync.state == JOINING:
        return "is being told the flows of the other pods"
    return "runs, but its forwarder is not ready; see the log of its containers forwarder and agent"


def _programmed(plan: Plan, observed: Observed) -> Verdict:
    gaps = programming_gaps(plan, observed)
    if not gaps:
        return true("Programmed", "Programmed", "every pod runs the newest configuration")
    reason = min((gap.reason for gap in gaps), key=_GAP_ORDER.index)
    return false("Programmed", reason, joined([gap.message for gap in gaps if gap.reason == reason], "; "))


_GAP_ORDER = ("AgentNotConnected", "ForwarderRejected", "GenerationPending")


def _advertised(plan: Plan, observed: Observed) -> Verdict:
    if ready_pods(plan, observed) == 0:
        return false("Advertised", "PodsNotReady", "no pod is Ready to take what a router sends to the VIPs")
    if plan.load_balancer.spec.advertisement is not None:
        found = advertised(plan, observed)
        verdict = true if found.reason == "Advertised" else false
        return verdict("Advertised", found.reason, found.message)
    return true(
        "Advertised",
        "StaticRoute",
        "spec.advertisement names no peers: route each VIP to a pod's address, or put it into the subnet of the first network",
    )


# Every listener is served all the same: a backend that fails is left out, as a pod that is not ready, those that are about to go
# still serve, and what was known holds.
# While one session is down, another one brings the packets; why VIPs are withheld is what other conditions are about; and flows
# that no other pod knows are served too.
_READY_ALL_THE_SAME = {
    "AddressTaken",
    "AllTerminating",
    "HealthChecksNotMade",
    "HealthChecksFailing",
    "Joining",
    "MassRemovalHeld",
    "NoPeers",
    "NotReported",
    "PartiallyAdvertised",
    "PeerSilent",
    "Withheld",
}


def _backends_healthy(plan: Plan, observed: Observed) -> Verdict:
    if not plan.load_balancer.spec.listeners:
        return true(
            "BackendsHealthy", "ServicesOnly", "it has no listeners of its own; each Service tells of its own"
        )
    if not plan.listeners:
        return false("BackendsHealthy", "NoEndpoints", "no listener is served; see the condition Accepted")
    empty = [item.listener for item in plan.listeners if not any(b.weight for b in item.backends)]
    if not empty:
        troubles = list(backend_troubles(plan, observed))
        if troubles:
            reason, texts = worst_of(troubles)
            return false("BackendsHealthy", reason, joined(texts, "; "))
        total = len(distinct_endpoints(plan.listeners))
        return true(
            "BackendsHealthy", "EndpointsReady", f"every listener has ready endpoints ({total} in all)"
        )
    reason = "NoEndpoints" if len(empty) == len(plan.listeners) else "SomeListenersEmpty"
    details = [
        f"listener {listener.name} has no ready endpoint with a weight above 0 in "
        f"{', '.join(f'Service {backend.service}' for backend in listener.backends)}"
        for listener in empty
    ]
    return false("BackendsHealthy", reason, f"{joined(details, '; ')}; look at the pods behind the Service")


def _session_sync(plan: Plan, observed: Observed) -> list[Verdict]:
    found = session_sync(plan, observed)
    if found is None:
        return []
    status: Literal["True", "False", "Unknown"] = "False"
    if found.reason == "Complete":
        status = "True"
    elif found.reason == "NotReported":
        status = "Unknown"
    return [Verdict("SessionSync", status, found.reason, found.message)]


def _ready(verdicts: list[Verdict]) -> Verdict:
    for verdict in verdicts:
        if verdict.status != "True" and verdict.reason not in _READY_ALL_THE_SAME:
            return false(
                "Ready",
                verdict.type,
                f"{verdict.type} is {verdict.status} ({verdict.reason}): {verdict.message}",
            )
    return true("Ready", "Ready", "every listener is served by every pod")


def joined(parts: list[str], separator: str) -> str:
    """The first few of them."""
    more = len(parts) - _MAX_NAMED
    return separator.join(parts[:_MAX_NAMED]) + (f"{separator}and {more} more" if more > 0 else "")


_JUDGES: tuple[Callable[[Plan, Observed], Verdict], ...] = (
    _accepted,
    _resolved_refs,
    _address_assigned,
    _resources_available,
    _dataplane_ready,
    _programmed,
    _advertised,
    _backends_healthy,
)
