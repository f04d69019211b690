"""resources of the containers."""

from typing import Any

from skylane_operator.model.load_balancer import CpuPolicy
from skylane_operator.model.quantity import binary_text
from skylane_operator.plan.types import Plan


def _cpu_text(millicores: int) -> str:
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def forwarder_resources(plan: Plan) -> dict[str, Any]:
    """Resources of the forwarder."""
    requests = plan.requests
    amounts = {
        "memory": binary_text(requests.forwarder_memory_bytes),
        requests.hugepages_resource: binary_text(requests.hugepages_bytes),
        **{name: str(count) for name, count in sorted(requests.devices.items())},
    }
    return _resources(plan, requests.forwarder_millicores, amounts)


def agent_resources(plan: Plan) -> dict[str, Any]:
    """Resources of the agent."""
    amounts = {"memory": binary_text(plan.requests.agent_memory_bytes)}
    return _resources(plan, plan.requests.agent_millicores, amounts)


def bird_resources(plan: Plan) -> dict[str, Any]:
    """Resources of the routing daemon."""
    amounts = {"memory": binary_text(plan.requests.bird_memory_bytes)}
    return _resources(plan, plan.requests.bird_millicores, amounts)


def _resources(plan: Plan, millicores: int, amounts: dict[str, str]) -> dict[str, Any]:
    """Requests equal to limits, which makes the pod Guaranteed and gives whole CPUs to the forwarder alone.

    With shared CPUs there is no CPU limit: a quota would stop the polling in the middle of a burst.
    """
    requests = {"cpu": _cpu_text(millicores), **amounts}
    exclusive = plan.load_balancer.spec.dataplane.cpu.policy is CpuPolicy.EXCLUSIVE
    return {"requests": requests, "limits": dict(requests) if exclusive else amounts}
