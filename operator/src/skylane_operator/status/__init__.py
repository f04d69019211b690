"""Pure: Plan and Observed to conditions and counters."""

from skylane_operator.plan.observed import AgentListener, AgentState, Observed
from skylane_operator.status.build import rejected_status_for, status_for

__all__ = ["AgentListener", "AgentState", "Observed", "rejected_status_for", "status_for"]
