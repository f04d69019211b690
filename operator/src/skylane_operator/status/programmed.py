"""Which pods do not run what the plan says."""

from collections.abc import Iterator
from typing import NamedTuple

from skylane_operator.plan.names import pod_name
from skylane_operator.plan.observed import AgentState, Observed
from skylane_operator.plan.types import Plan, PodPlan


class Gap(NamedTuple):
    """One difference between plan and a forwarder."""

    reason: str
    message: str


def ready_pods(plan: Plan, observed: Observed) -> int:
    """How many of the wanted pods are Ready; those that a scale-in has yet to remove do not count."""
    wanted = plan.load_balancer.spec.replicas
    names = (pod_name(plan.key.name, ordinal) for ordinal in range(wanted))
    return sum(name in observed.pods and observed.pods[name].is_ready for name in names)


def agents_awaited(plan: Plan, observed: Observed) -> bool:
    """Whether a pod is Ready whose agent has not called since the operator started, or not told yet what it announces and knows."""
    ready = [pod for pod in plan.pods if pod.name in observed.pods and observed.pods[pod.name].is_ready]
    return any(_is_awaited(pod, observed.agents.get(pod.name, AgentState(connected=False))) for pod in ready)


def _is_awaited(pod: PodPlan, agent: AgentState) -> bool:
    announces = pod.routing is None or bool(pod.routing.peers)
    syncs = pod.base.sync is not None
    return not agent.pod_uid or (announces and agent.advertisement is None) or (syncs and agent.sync is None)


def programming_gaps(plan: Plan, observed: Observed) -> list[Gap]:
    """Everything that a forwarder does not run yet, pod by pod. Empty means Programmed."""
    return [gap for pod in plan.pods for gap in _pod_gaps(plan, pod, observed)]


def _pod_gaps(plan: Plan, pod: PodPlan, observed: Observed) -> Iterator[Gap]:
    agent, running_pod = observed.agents.get(pod.name), observed.pods.get(pod.name)
    if (agent is None or not agent.connected) and (
        running_pod is None or running_pod.status.phase == "Pending"
    ):
        yield Gap("AgentNotConnected", f"pod {pod.name} does not run yet")
        return
    if agent is None or not agent.connected:
        yield Gap(
            "AgentNotConnected",
            f"the agent of pod {pod.name} is not connected; its forwarder goes on with what it has; "
            "see the log of its container agent",
        )
        return
    if plan.deployable and agent.base_generation != pod.base.generation:
        yield Gap(
            "GenerationPending",
            f"pod {pod.name} has base {agent.base_generation or 'none'} and needs another",
        )
    for listener in pod.listeners:
        running = agent.listeners.get(listener.name)
        if running is not None and running.generation == listener.generation:
            continue
        if running is not None and running.error:
            yield Gap(
                "ForwarderRejected", f"pod {pod.name} refused listener {listener.name}: {running.error}"
            )
        else:
            yield Gap("GenerationPending", f"pod {pod.name} has not taken listener {listener.name} yet")
    strangers = (
        agent.listeners.keys() - {listener.name for listener in pod.listeners} - observed.owners.keys()
    )
    for name in sorted(strangers):
        yield Gap("GenerationPending", f"pod {pod.name} still serves listener {name}, which is gone")


def pods_running(plan: Plan, observed: Observed, listener: str) -> int:
    """How many pods run the newest generation of a listener."""
    return sum(_runs(pod, observed.agents.get(pod.name), listener) for pod in plan.pods)


def _runs(pod: PodPlan, agent: AgentState | None, name: str) -> bool:
    if agent is None or not agent.connected or name not in agent.listeners:
        return False
    return any(
        item.name == name and item.generation == agent.listeners[name].generation for item in pod.listeners
    )
