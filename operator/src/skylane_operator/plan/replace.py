"""Which pod is replaced next."""

from skylane_operator.plan.names import TEMPLATE_GENERATION_ANNOTATION
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.types import Plan, PodPlan


def replacement_for(plan: Plan, observed: Observed) -> str | None:
    """Name of the one pod that may be deleted now because it runs an older base, or None.

    One at a time, and only while all others are Ready; of several, one that is not Ready goes first, since it serves
    nobody, then the highest ordinal. Nothing is replaced while the plan is not deployable or the nodes have no room.
    """
    if not plan.deployable or not plan.placement.fits:
        return None
    stale = [pod for pod in plan.pods if _is_stale(plan, pod, observed)]
    if not stale:
        return None
    unready = [pod.name for pod in plan.pods if not _is_ready(pod.name, observed)]
    candidates = [pod for pod in stale if set(unready) <= {pod.name}]
    return max(candidates, key=lambda pod: (pod.name in unready, pod.ordinal)).name if candidates else None


def _is_ready(name: str, observed: Observed) -> bool:
    return name in observed.pods and observed.pods[name].is_ready


def _is_stale(plan: Plan, pod: PodPlan, observed: Observed) -> bool:
    """True for an older template (annotation), or another address of its own (said by its agent)."""
    existing = observed.pods.get(pod.name)
    if existing is None or existing.metadata.deletion_timestamp is not None:
        return False
    if existing.metadata.annotations.get(TEMPLATE_GENERATION_ANNOTATION) != plan.template_generation:
        return True
    agent = observed.agents.get(pod.name)
    return agent is not None and agent.base_generation not in ("", pod.base.generation)
