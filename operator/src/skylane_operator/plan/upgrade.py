"""How far an upgrade has come: the whole state machine as a function of what is there and what the status said last.

An upgrade is any difference between pods and what they should be: another version of the operator, with another image, or
another spec. Whoever leads next goes on from the status.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from skylane_operator.model.kubernetes import Pod
from skylane_operator.model.upgrade import UpgradeStatus, UpgradeStep
from skylane_operator.plan.names import TEMPLATE_GENERATION_ANNOTATION
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.rollout import (
    REVISION_LABEL,
    is_known,
    pod_to_replace,
    stale_pods,
    why_not_serving,
)
from skylane_operator.plan.types import Plan


@dataclass(frozen=True, slots=True)
class UpgradeInputs:
    """`previous` is what the status says, `template` the digest of the pod template that is wanted, `now` in UTC."""

    previous: UpgradeStatus | None
    template: str
    now: datetime
    deadline_s: int


def upgrade_for(plan: Plan, observed: Observed, inputs: UpgradeInputs) -> UpgradeStatus | None:
    """None when no pod has to be replaced and the successors of all that were serve."""
    previous = inputs.previous
    if is_rolled_back(previous, inputs.template) or not is_known(plan, observed):
        return previous
    stale = stale_pods(plan, observed)
    if not stale and previous is None:
        return None  # pods that start, or start again, are no upgrade
    step, pod, message = _step(plan, observed, stale)
    if not pod:
        return None
    same = previous is not None and previous.pod == pod
    since = previous.since if previous is not None and same else inputs.now.replace(microsecond=0)
    status = UpgradeStatus(step=step, pod=pod, since=since, message=message)
    late = inputs.now - since >= timedelta(seconds=inputs.deadline_s)
    return _given_up(plan, observed, status, inputs) if step is UpgradeStep.STARTING and late else status


def is_rolled_back(upgrade: UpgradeStatus | None, template: str) -> bool:
    """Whether this very template has been tried in vain."""
    return upgrade is not None and upgrade.step is UpgradeStep.ROLLED_BACK and upgrade.template == template


def look_again_s(upgrade: UpgradeStatus | None, inputs: UpgradeInputs) -> float | None:
    """Seconds until an upgrade needs a look though nothing changes, if it does."""
    if upgrade is None:
        return None
    if upgrade.step is UpgradeStep.STARTING:
        passed_s = (inputs.now - upgrade.since).total_seconds()
        return max(inputs.deadline_s - passed_s, 0) + 0.1
    # The template is applied when the status has been written: it is what tells whoever leads then.
    turned = upgrade.step is UpgradeStep.ROLLED_BACK and not is_rolled_back(inputs.previous, inputs.template)
    return 1 if turned else None


def _step(plan: Plan, observed: Observed, stale: list[Pod]) -> tuple[UpgradeStep, str, str]:
    """What is waited for, and of which pod; of none when nothing is."""
    leaving = [name for name, pod in sorted(observed.pods.items()) if pod.metadata.deletion_timestamp]
    if leaving:
        return UpgradeStep.REPLACING, leaving[0], f"pod {leaving[0]} ends; its successor follows"
    names = {pod.metadata.name for pod in stale}
    for planned in plan.pods:
        why = why_not_serving(planned, observed)
        if planned.name not in names and why:
            return UpgradeStep.STARTING, planned.name, why
    if not stale:
        return UpgradeStep.STARTING, "", ""
    next_pod = pod_to_replace(plan, observed)
    if next_pod is not None:
        name = next_pod.metadata.name
        return UpgradeStep.REPLACING, name, f"pod {name} is replaced next, {len(stale)} in all"
    name = stale[0].metadata.name
    return UpgradeStep.WAITING, name, f"pod {name} waits to be replaced: {_in_the_way(plan, observed, name)}"


def _in_the_way(plan: Plan, observed: Observed, name: str) -> str:
    whys = [why_not_serving(pod, observed) for pod in plan.pods if pod.name != name]
    return (
        "; ".join(why for why in whys if why)
        or "its spec has no room for all pods; see the condition Accepted"
    )


def _given_up(plan: Plan, observed: Observed, status: UpgradeStatus, inputs: UpgradeInputs) -> UpgradeStatus:
    late = f"{status.message}, for {inputs.deadline_s} s; the other pods stay as they are"
    serving = next(_that_can_stay(plan, observed), None)
    if serving is None:
        mend = "correct spec.dataplane, or set it back to what they run"
        return status.model_copy(update={"step": UpgradeStep.STALLED, "message": f"{late}; {mend}"})
    revision = serving.metadata.labels.get(REVISION_LABEL, "")
    mend = f"pod {status.pod} goes back to their revision {revision} until the operator's version or spec.dataplane is another"
    return status.model_copy(
        update={
            "step": UpgradeStep.ROLLED_BACK,
            "message": f"{late}, and {mend}",
            "revision": revision,
            "template": inputs.template,
        }
    )


def _that_can_stay(plan: Plan, observed: Observed) -> Iterator[Pod]:
    """Older pods that serve with the spec as it is: what differs is the version of the operator."""
    bases = {pod.name: pod.base.generation for pod in plan.pods}
    unserving = {pod.name for pod in plan.pods if why_not_serving(pod, observed)}
    workload = observed.stateful_set
    for name, pod in sorted(observed.pods.items()):
        revision = pod.metadata.labels.get(REVISION_LABEL, "")
        agent = observed.agents.get(name)
        if (
            name in bases.keys() - unserving
            and workload is not None
            and revision not in {"", workload.status.update_revision}
            and pod.metadata.annotations.get(TEMPLATE_GENERATION_ANNOTATION) == plan.template_generation
            and agent is not None
            and agent.base_generation == bases[name]
        ):
            yield pod
