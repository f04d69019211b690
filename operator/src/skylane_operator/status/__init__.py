"""Pure: Plan and Observed to conditions and counters."""

from skylane_operator.plan.observed import AgentListener, AgentState, Observed
from skylane_operator.status.build import rejected_status_for, status_for
from skylane_operator.status.gateway import (
    GatewayFacts,
    acceptance,
    current_class_status,
    current_gateway_status,
    gateway_class_status,
    gateway_status,
    is_served,
)
from skylane_operator.status.owned_health import health_awaited
from skylane_operator.status.programmed import agents_awaited
from skylane_operator.status.route import ParentFacts, current_route_status, is_reported, route_status
from skylane_operator.status.service import current_service_status, pool_status, service_status
from skylane_operator.status.told import Told

__all__ = [
    "AgentListener",
    "AgentState",
    "GatewayFacts",
    "Observed",
    "ParentFacts",
    "Told",
    "acceptance",
    "agents_awaited",
    "current_class_status",
    "current_gateway_status",
    "current_route_status",
    "current_service_status",
    "gateway_class_status",
    "gateway_status",
    "health_awaited",
    "is_reported",
    "is_served",
    "pool_status",
    "rejected_status_for",
    "route_status",
    "service_status",
    "status_for",
]
