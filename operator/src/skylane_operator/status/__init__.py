"""Pure: Plan and Observed to conditions and counters."""

from skylane_operator.plan.observed import AgentListener, AgentState, Observed
from skylane_operator.status.build import rejected_status_for, status_for
from skylane_operator.status.programmed import agents_awaited

__all__ = ["AgentListener", "AgentState", "Observed", "agents_awaited", "rejected_status_for", "status_for"]
