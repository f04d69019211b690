"""Pure: `Inputs -> Plan`. The only place that decides; no clock, no randomness, no I/O.

Entry points: `load_balancer_from` (an API object to a LoadBalancer, or what is wrong with it) and `plan_for`.
"""

from skylane_operator.plan.build import plan_for
from skylane_operator.plan.claims import Claims, claims_for
from skylane_operator.plan.parse import load_balancer_from
from skylane_operator.plan.types import Inputs, Plan, Rejected

__all__ = ["Claims", "Inputs", "Plan", "Rejected", "claims_for", "load_balancer_from", "plan_for"]
