"""Whether the nodes could take the pods, asked before a pod sits Pending.

The scheduler stays the judge (pods are made either way, a node may be on its way); this says at once what is missing.
"""

from collections.abc import Iterable, Mapping

from skylane_operator.model.kubernetes import Node, Pod, Taint, integer_quantities
from skylane_operator.model.load_balancer import Toleration
from skylane_operator.model.quantity import binary_text
from skylane_operator.plan.names import LOAD_BALANCER_LABEL
from skylane_operator.plan.types import Inputs, Placement, PodRequests

Amounts = dict[str, int]

_MAX_NODES_NAMED = 10


def placement_for(inputs: Inputs, requests: PodRequests) -> Placement:
    """Count, node by node, how many pods fit beside what is there; the LoadBalancer's own pods are not counted."""
    spec = inputs.load_balancer.spec
    # A cordon keeps new pods away, not those that are there.
    kept = {pod.spec.node_name for pod in inputs.pods if _is_own(inputs, pod) and not pod.is_finished}
    obstacles = {
        node.metadata.name: _obstacle(inputs, node, may_be_cordoned=node.metadata.name in kept)
        for node in inputs.nodes
    }
    candidates = [node for node in inputs.nodes if not obstacles[node.metadata.name]]
    if not candidates:
        return Placement(fits=False, reason="NoMatchingNode", message=_no_node(obstacles))
    needed = requests.totals
    free = _free_by_node(inputs, candidates)
    if sum(_pods_that_fit(amounts, needed) for amounts in free.values()) >= spec.replicas:
        return Placement(fits=True, reason="", message="")
    scarce = _scarcest(free.values(), requests)
    return Placement(
        fits=False, reason=_reason(scarce, requests), message=_shortage(free, requests, scarce, spec.replicas)
    )


def _obstacle(inputs: Inputs, node: Node, *, may_be_cordoned: bool) -> str:
    """Why no pod may go to the node whatever it has free; empty if one may."""
    dataplane = inputs.load_balancer.spec.dataplane
    for key, value in sorted(dataplane.node_selector.items()):
        if node.metadata.labels.get(key) != value:
            return f"has no label {key}={value}"
    if not node.is_ready:
        return "is not Ready"
    if not may_be_cordoned and node.spec.unschedulable and not _tolerated(_CORDONED, dataplane.tolerations):
        return "is cordoned"
    for taint in node.spec.taints:
        if may_be_cordoned and taint.key == _CORDONED.key:
            continue
        if taint.effect != "PreferNoSchedule" and not _tolerated(taint, dataplane.tolerations):
            return f"has the taint {taint.key}={taint.value}:{taint.effect}, which no toleration matches"
    return ""


_CORDONED = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


def _tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(
        toleration.effect in (None, taint.effect)
        and toleration.key in (None, "", taint.key)
        and (toleration.operator == "Exists" or (toleration.key and (toleration.value or "") == taint.value))
        for toleration in tolerations
    )


def _free_by_node(inputs: Inputs, nodes: list[Node]) -> dict[str, Amounts]:
    free = {node.metadata.name: integer_quantities(node.status.allocatable) for node in nodes}
    for pod in inputs.pods:
        if pod.spec.node_name in free and not pod.is_finished and not _is_own(inputs, pod):
            amounts = free[pod.spec.node_name]
            for resource, amount in requested_by(pod).items():
                amounts[resource] = amounts.get(resource, 0) - amount
    return free


def _is_own(inputs: Inputs, pod: Pod) -> bool:
    key = inputs.load_balancer.key
    return (
        pod.metadata.namespace == key.namespace and pod.metadata.labels.get(LOAD_BALANCER_LABEL) == key.name
    )


def requested_by(pod: Pod) -> Amounts:
    """What the scheduler counts for a pod: the containers and sidecars together, or one init container if it is larger.

    `cpu` in thousandths, the rest in bytes or pieces. Source: KEP-753.
    """
    running: Amounts = {}
    peak: Amounts = {}
    for container in pod.spec.init_containers:
        amounts = integer_quantities(container.resources.requests)
        _maximise(peak, _sum(running, amounts))
        if container.restart_policy == "Always":
            running = _sum(running, amounts)
    for container in pod.spec.containers:
        running = _sum(running, integer_quantities(container.resources.requests))
    _maximise(peak, running)
    return _sum(peak, integer_quantities(pod.spec.overhead))


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> Amounts:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def _maximise(peak: Amounts, amounts: Mapping[str, int]) -> None:
    for name, amount in amounts.items():
        peak[name] = max(peak.get(name, 0), amount)


def _pods_that_fit(free: Mapping[str, int], needed: Mapping[str, int]) -> int:
    return min(max(0, free.get(name, 0)) // amount for name, amount in needed.items())


def _scarcest(free: Iterable[Amounts], requests: PodRequests) -> str:
    """The resource of which the fewest pods could be served; of equals, the hardest to come by."""
    needed, frees = requests.totals, list(free)
    by_hardness = [requests.hugepages_resource, *requests.devices, "cpu", "memory"]
    return min(by_hardness, key=lambda name: sum(_pods_that_fit(f, {name: needed[name]}) for f in frees))


def _reason(resource: str, requests: PodRequests) -> str:
    if resource == requests.hugepages_resource:
        return "InsufficientHugepages"
    return {"cpu": "InsufficientCPU", "memory": "InsufficientMemory"}.get(resource, "InsufficientNICs")


_REMEDIES = {
    "InsufficientHugepages": (
        "reserve hugepages on a node (kernel argument hugepages= or sysctl vm.nr_hugepages, then restart its kubelet), "
        "or lower spec.dataplane.hugepages.total"
    ),
    "InsufficientNICs": "let the device plugin offer more devices, free some, or lower spec.replicas",
    "InsufficientCPU": (
        "free CPUs, lower spec.dataplane.workers, or set spec.dataplane.cpu.policy to shared"
    ),
    "InsufficientMemory": "free memory, or lower spec.dataplane.memory",
}


def _shortage(free: Mapping[str, Amounts], requests: PodRequests, scarce: str, replicas: int) -> str:
    needed = requests.totals
    fitting = sum(_pods_that_fit(amounts, needed) for amounts in free.values())
    nodes = [f"node {name} {_free_text(amounts, needed, scarce)}" for name, amounts in sorted(free.items())]
    return (
        f"{fitting} of {replicas} pods fit; a pod needs {_text(scarce, needed[scarce])} of {scarce}: "
        f"{_enumerated(nodes)}; {_REMEDIES[_reason(scarce, requests)]}"
    )


def _free_text(free: Mapping[str, int], needed: Mapping[str, int], scarce: str) -> str:
    lacking = [name for name, amount in needed.items() if free.get(name, 0) < amount and name != scarce]
    parts = [f"{_text(name, max(0, free.get(name, 0)))} {name}" for name in (scarce, *lacking)]
    return f"has {', '.join(parts)} free"


def _text(resource: str, amount: int) -> str:
    if resource == "cpu":
        return f"{amount // 1000}" if amount % 1000 == 0 else f"{amount}m"
    return binary_text(amount) if resource == "memory" or resource.startswith("hugepages-") else str(amount)


def _no_node(obstacles: Mapping[str, str]) -> str:
    if not obstacles:
        return "the cluster has no node"
    nodes = [f"node {name} {why}" for name, why in sorted(obstacles.items())]
    return (
        f"no node may take a pod: {_enumerated(nodes)}; change spec.dataplane.nodeSelector or "
        "spec.dataplane.tolerations, or the nodes"
    )


def _enumerated(parts: list[str]) -> str:
    more = len(parts) - _MAX_NODES_NAMED
    return ", ".join(parts[:_MAX_NODES_NAMED]) + (f" and {more} more" if more > 0 else "")
