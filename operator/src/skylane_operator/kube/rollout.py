"""Replaces forwarder pods that no longer are what the plan says: one at a time, and only while all others serve."""

import logging

from skylane_operator.errors import ApiConflictError
from skylane_operator.kube.apply import delete
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import POD
from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan import Plan
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.types import PodPlan

_REVISION_LABEL = "controller-revision-hash"

_log = logging.getLogger(__name__)


def pod_to_replace(plan: Plan, observed: Observed) -> Pod | None:
    """Choose the stale pod that may be deleted now, if there is one.

    A pod is stale when the StatefulSet would make it differently now, or when its forwarder runs another base
    than planned (addresses are no part of the template). One that serves nobody anyway goes first, whatever
    state the others are in; one that serves goes when every other pod does.
    """
    workload = observed.stateful_set
    if not plan.deployable or workload is None or not workload.status.update_revision:
        return None
    if workload.status.observed_generation < workload.metadata.generation:
        return None  # its update revision is still that of the template before
    if any(pod.metadata.deletion_timestamp for pod in observed.pods.values()):
        return None  # one at a time
    revision = workload.status.update_revision
    stale = [pod for pod in observed.pods.values() if _is_stale(pod, plan, observed, revision)]
    stale.sort(key=lambda pod: (pod.is_ready, pod.metadata.name))
    if not stale:
        return None
    return stale[0] if not stale[0].is_ready or _others_serve(stale[0], plan, observed) else None


def _others_serve(pod: Pod, plan: Plan, observed: Observed) -> bool:
    """Whether every other pod that is wanted is Ready and its forwarder has taken every listener, or refused it."""
    others = [other for other in plan.pods if other.name != pod.metadata.name]
    wanted = plan.load_balancer.spec.replicas - 1
    return len(others) >= wanted and all(_serves(other, observed) for other in others)


def _serves(planned: PodPlan, observed: Observed) -> bool:
    pod, agent = observed.pods.get(planned.name), observed.agents.get(planned.name)
    if pod is None or not pod.is_ready or agent is None or not agent.connected or not agent.base_generation:
        return False
    for listener in planned.listeners:
        running = agent.listeners.get(listener.name)
        if running is None or (running.generation != listener.generation and not running.error):
            return False
    return True


def _is_stale(pod: Pod, plan: Plan, observed: Observed, revision: str) -> bool:
    if pod.metadata.labels.get(_REVISION_LABEL) != revision:
        return True
    planned = {one.name: one.base.generation for one in plan.pods}.get(pod.metadata.name)
    agent = observed.agents.get(pod.metadata.name)
    running = agent.base_generation if agent is not None and agent.connected else ""
    return bool(planned and running and planned != running)


async def replace_stale_pod(client: KubeClient, plan: Plan, observed: Observed) -> None:
    """Delete at most one pod; the StatefulSet controller makes its successor. Raises ApiError."""
    pod = pod_to_replace(plan, observed)
    if pod is None:
        return
    _log.info("pod %s runs an older configuration than planned; replacing it", pod.key)
    try:
        await delete(client, POD, pod.key, pod.metadata.uid)
    except ApiConflictError:
        _log.info("pod %s has been replaced already", pod.key)
