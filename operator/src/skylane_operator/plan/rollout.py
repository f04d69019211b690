"""Which forwarder pods are stale, and which of them may be replaced: one at a time, and only while all others serve."""

from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan.observed import JOINING, AgentState, Observed
from skylane_operator.plan.types import Plan, PodPlan

REVISION_LABEL = "controller-revision-hash"


def is_known(plan: Plan, observed: Observed) -> bool:
    """Whether the StatefulSet controller has said of which revision pods of the newest template are."""
    workload = observed.stateful_set
    return (
        plan.deployable
        and workload is not None
        and bool(workload.status.update_revision)
        # Else it is that of the template before.
        and workload.status.observed_generation >= workload.metadata.generation
    )


def stale_pods(plan: Plan, observed: Observed) -> list[Pod]:
    """Those that the StatefulSet would make differently now, or whose forwarder runs another base than planned.

    Addresses are no part of the template. Those that serve nobody anyway come first, then by name.
    """
    stale = [pod for pod in observed.pods.values() if _is_stale(pod, plan, observed)]
    return sorted(stale, key=lambda pod: (pod.is_ready, pod.metadata.name))


def _is_stale(pod: Pod, plan: Plan, observed: Observed) -> bool:
    workload = observed.stateful_set
    if workload is None or pod.metadata.labels.get(REVISION_LABEL) != workload.status.update_revision:
        return True
    planned = {one.name: one.base.generation for one in plan.pods}.get(pod.metadata.name)
    agent = observed.agents.get(pod.metadata.name)
    running = agent.base_generation if agent is not None and agent.connected else ""
    return bool(planned and running and planned != running)


def pod_to_replace(plan: Plan, observed: Observed) -> Pod | None:
    """Choose the stale pod that may be deleted now, if there is one.

    One that serves nobody anyway goes first, whatever state the others are in; one that serves goes when every other
    pod does.
    """
    if not is_known(plan, observed):
        return None
    if any(pod.metadata.deletion_timestamp for pod in observed.pods.values()):
        return None  # one at a time
    stale = stale_pods(plan, observed)
    if not stale:
        return None
    return stale[0] if not stale[0].is_ready or _others_serve(stale[0], plan, observed) else None


def _others_serve(pod: Pod, plan: Plan, observed: Observed) -> bool:
    others = [other for other in plan.pods if other.name != pod.metadata.name]
    wanted = plan.load_balancer.spec.replicas - 1
    return len(others) >= wanted and not any(why_not_serving(other, observed) for other in others)


def why_not_serving(planned: PodPlan, observed: Observed) -> str:
    """Empty when the pod is Ready, its forwarder has taken every listener, and it announces as the others do.

    What other pods refuse too counts as taken: waiting mends that not.
    """
    pod, agent = observed.pods.get(planned.name), observed.agents.get(planned.name)
    if pod is None:
        return f"pod {planned.name} does not exist yet"
    if not pod.is_ready:
        told = [c.message for c in pod.status.conditions if c.type in {"PodScheduled", "Ready"} and c.message]
        said = f"{pod.status.phase} {pod.status.reason} {pod.status.message}".rstrip()
        return f"pod {planned.name} is not Ready ({'; '.join([said, *told])})"
    if agent is None or not agent.connected:
        return f"the agent of pod {planned.name} is not connected"
    others = [other for name, other in observed.agents.items() if name != planned.name and other.connected]
    return (
        _why_not_begun(planned, agent)
        or _why_not_running(planned, agent, others, observed)
        or _why_not_announcing(planned, agent, others)
    )


def _why_not_begun(planned: PodPlan, agent: AgentState) -> str:
    if not agent.base_generation:
        return f"the forwarder of pod {planned.name} does not run yet"
    if agent.sync is not None and agent.sync.state == JOINING:
        return f"pod {planned.name} does not know the flows of the other pods yet"
    return ""


def _why_not_running(
    planned: PodPlan, agent: AgentState, others: list[AgentState], observed: Observed
) -> str:
    # Those of Services and Gateways have other generations on each pod; what counts is that they are there.
    wanted = dict.fromkeys(observed.owners, "") | {one.name: one.generation for one in planned.listeners}
    for name, generation in wanted.items():
        running = agent.listeners.get(name)
        if running is not None and running.error:
            if any(name in other.listeners and not other.listeners[name].error for other in others):
                return f"pod {planned.name} refuses listener {name}, which others run: {running.error}"
        elif running is None or (generation and running.generation != generation):
            return f"pod {planned.name} has not taken listener {name} yet"
    return ""


def _why_not_announcing(planned: PodPlan, agent: AgentState, others: list[AgentState]) -> str:
    if planned.routing is None or not planned.routing.peers:
        return ""
    if any(map(_has_session, others)) and not _has_session(agent):
        return f"pod {planned.name} has no BGP session yet"
    if any(map(_announces, others)) and not _announces(agent):
        return f"pod {planned.name} announces no VIP yet"
    return ""


def _has_session(agent: AgentState) -> bool:
    said = agent.advertisement
    return said is not None and any(session.established for session in said.sessions)


def _announces(agent: AgentState) -> bool:
    return agent.advertisement is not None and agent.advertisement.announced > 0
