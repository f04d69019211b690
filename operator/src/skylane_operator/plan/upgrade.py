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

# A turn is given up by who has watched it for so long: an operator that begins anew, or after an outage, knows nothing
# of the time before.
_WATCHED_S = 60
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class UpgradeInputs:
    """`previous` is what the status says, `template` the digest of the pod template that is wanted.

    `now` in UTC; `watching_since`: since when this operator has led. What happened before that it has not seen.
    """

    previous: UpgradeStatus | None
    template: str
    now: datetime
    watching_since: datetime
    deadline_s: int

    def give_up_at(self, since: datetime) -> datetime:
        """When a turn that began then has lasted too long, of which the last part was watched."""
        watched = timedelta(seconds=min(self.deadline_s, _WATCHED_S))
        return max(since + timedelta(seconds=self.deadline_s), self.watching_since + watched)


def upgrade_for(plan: Plan, observed: Observed, inputs: UpgradeInputs) -> UpgradeStatus | None:
    """None when no pod has to be replaced and the successors of all that were serve; `previous` itself while nothing is known."""
    previous = inputs.previous
    if is_rolled_back(previous, inputs.template) or not is_known(plan, observed):
        return previous
    stale = stale_pods(plan, observed)
    if not stale and previous is None:
        return None  # pods that start, or start again, are no upgrade
    step, pod, message = _step(plan, observed, stale)
    if not pod:
        return None
    status = UpgradeStatus(
        step=step, pod=pod, since=_since(step, pod, inputs), message=message, template=inputs.template
    )
    late = inputs.now >= inputs.give_up_at(status.since)
    return _given_up(plan, observed, status, inputs) if step is UpgradeStep.STARTING and late else status


def _since(step: UpgradeStep, pod: str, inputs: UpgradeInputs) -> datetime:
    """A turn lasts from the deletion of a pod until its successor serves, over pods that the kubelet refuses, without waits."""
    previous = inputs.previous
    waits = UpgradeStep.WAITING in {step, previous.step if previous is not None else step}
    same = previous is not None and (previous.pod, previous.template) == (pod, inputs.template)
    waited = previous is not None and previous.step is step
    if previous is not None and same and (not waits or waited):
        return previous.since
    return inputs.now.replace(microsecond=0)


def is_rolled_back(upgrade: UpgradeStatus | None, template: str) -> bool:
    """Whether this very template has been tried in vain."""
    return upgrade is not None and upgrade.step is UpgradeStep.ROLLED_BACK and upgrade.template == template


def look_again_s(upgrade: UpgradeStatus | None, inputs: UpgradeInputs) -> float | None:
    """Seconds until an upgrade needs a look though nothing changes, if it does."""
    if upgrade is None or upgrade is inputs.previous:
        return None  # whatever becomes known wakes us
    if upgrade.step is UpgradeStep.STARTING:
        # Not every listener that a pod takes is the LoadBalancer's own, and wakes us.
        left_s = (inputs.give_up_at(upgrade.since) - inputs.now).total_seconds()
        return min(max(left_s, 0) + 0.1, _LOOK_S)
    # The template is applied when the status has been written: it is what tells whoever leads then.
    return 1 if upgrade.step is UpgradeStep.ROLLED_BACK else None


def _step(plan: Plan, observed: Observed, stale: list[Pod]) -> tuple[UpgradeStep, str, str]:
    """What is waited for, and of which pod; of none when nothing is."""
    leaving = [name for name, pod in sorted(observed.pods.items()) if pod.metadata.deletion_timestamp]
    if leaving:
        return UpgradeStep.REPLACING, leaving[0], f"pod {leaving[0]} ends; its successor follows"
    names = {pod.metadata.name for pod in stale}
    for planned in plan.pods:
        why = why_not_serving(planned, observed)
        if planned.name not in names and why:
            # That no node has room is not its version's fault.
            step = UpgradeStep.WAITING if _has_no_node(planned.name, observed) else UpgradeStep.STARTING
            return step, planned.name, why
    if not stale:
        return UpgradeStep.STARTING, "", ""
    next_pod = pod_to_replace(plan, observed)
    if next_pod is not None:
        name = next_pod.metadata.name
        return UpgradeStep.REPLACING, name, f"pod {name} is replaced next, {len(stale)} in all"
    name = stale[0].metadata.name
    return UpgradeStep.WAITING, name, f"pod {name} waits to be replaced: {_in_the_way(plan, observed, name)}"


def _has_no_node(name: str, observed: Observed) -> bool:
    pod = observed.pods.get(name)
    conditions = pod.status.conditions if pod is not None else ()
    return any(c.type == "PodScheduled" and c.status == "False" for c in conditions)


def _in_the_way(plan: Plan, observed: Observed, name: str) -> str:
    whys = [why_not_serving(pod, observed) for pod in plan.pods if pod.name != name]
    return (
        "; ".join(why for why in whys if why)
        or "its spec has no room for all pods; see the condition Accepted"
    )


def _given_up(plan: Plan, observed: Observed, status: UpgradeStatus, inputs: UpgradeInputs) -> UpgradeStatus:
    late = f"{status.message}, for {inputs.deadline_s} s"
    serving = next(_that_can_stay(plan, observed), None)
    if serving is None:
        mend = (
            "no pod of the version before serves by this spec, to go back to; set spec.dataplane back if it was changed, "
            "or the chart to its earlier version"
        )
        return status.model_copy(update={"step": UpgradeStep.STALLED, "message": f"{late}; {mend}"})
    revision = serving.metadata.labels.get(REVISION_LABEL, "")
    mend = f"pod {status.pod} goes back to their revision {revision} until the operator's version or spec.dataplane is another"
    return status.model_copy(
        update={
            "step": UpgradeStep.ROLLED_BACK,
            "message": f"{late}; the other pods stay as they are, and {mend}",
            "revision": revision,
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
