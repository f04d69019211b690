"""resources of the two containers."""

from typing import Any

from skylane_operator.model.load_balancer import CpuPolicy
from skylane_operator.model.quantity import binary_text
from skylane_operator.plan.types import Plan


def _cpu_text(millicores: int) -> str:
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def forwarder_resources(plan: Plan) -> dict[str, Any]:
    """Requests equal to limits, but no CPU limit when the CPUs are shared: a quota would stop the polling mid-burst.

    With whole CPUs, requests equal to limits and an agent alike, the pod is Guaranteed and the static CPU manager
    gives the forwarder CPUs of its own.
    """
    requests = plan.requests
    limits = {
        "memory": binary_text(requests.forwarder_memory_bytes),
        requests.hugepages_resource: binary_text(requests.hugepages_bytes),
        **{name: str(count) for name, count in sorted(requests.devices.items())},
    }
    cpu = {"cpu": _cpu_text(requests.forwarder_millicores)}
    if plan.load_balancer.spec.dataplane.cpu.policy is CpuPolicy.EXCLUSIVE:
        limits |= cpu
    return {"requests": limits | cpu, "limits": limits}


def agent_resources(plan: Plan) -> dict[str, Any]:
    """Requests equal to limits, with a fraction of a CPU: the agent stays in the shared pool."""
    amounts = {
        "cpu": _cpu_text(plan.requests.agent_millicores),
        "memory": binary_text(plan.requests.agent_memory_bytes),
    }
    return {"requests": dict(amounts), "limits": dict(amounts)}
