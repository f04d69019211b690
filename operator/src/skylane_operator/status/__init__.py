"""Pure: Plan and Observed to conditions and counters."""

from skylane_operator.plan.observed import AgentListener, AgentState, Observed
from skylane_operator.status.build import rejected_status_for, status_for
from skylane_operator.status.programmed import agents_awaited
from skylane_operator.status.service import current_service_status, pool_status, service_status

__all__ = [
    "AgentListener",
    "AgentState",
    "Observed",
    "agents_awaited",
    "current_service_status",
    "pool_status",
    "rejected_status_for",
    "service_status",
    "status_for",
]
