"""What the pods of others request of each node, kept up to date pod by pod.

Planning then costs as much as there are nodes, however many pods there are.
"""

from collections import Counter

from skylane_operator.model.kubernetes import Container, ContainerResources, Pod, PodSpec
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.plan.names import LOAD_BALANCER_LABEL
from skylane_operator.plan.placement import requested_by


def is_forwarder(pod: Pod) -> bool:
    """Whether the pod belongs to a LoadBalancer: such pods are planned with one by one."""
    return LOAD_BALANCER_LABEL in pod.metadata.labels


class NodeUsage:
    """Sums by node, of all pods but the forwarders."""

    def __init__(self) -> None:
        self._by_node: dict[str, Counter[str]] = {}

    def changed(self, old: Pod | None, new: Pod | None) -> bool:
        """Take a change in; True when it changed what a node has free."""
        before, after = _share(old), _share(new)
        if before == after:
            return False
        for sign, (node, amounts) in ((-1, before), (1, after)):
            total = self._by_node.setdefault(node, Counter())
            for resource, amount in amounts.items():
                total[resource] += sign * amount
        return True

    def as_pods(self) -> tuple[Pod, ...]:
        """One pod a node, that requests what all of them request."""
        return tuple(_pod(node, amounts) for node, amounts in sorted(self._by_node.items()) if node)


def _share(pod: Pod | None) -> tuple[str, dict[str, int]]:
    if pod is None or not pod.spec.node_name or pod.is_finished or is_forwarder(pod):
        return "", {}
    return pod.spec.node_name, requested_by(pod)


def _pod(node: str, amounts: Counter[str]) -> Pod:
    requests: dict[str, str | int | float] = {
        resource: f"{amount}m" if resource == "cpu" else amount for resource, amount in amounts.items()
    }
    container = Container(resources=ContainerResources(requests=requests))
    return Pod(
        metadata=ObjectMeta(name=f"others-on-{node}"), spec=PodSpec(node_name=node, containers=(container,))
    )
