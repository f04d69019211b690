"""The story of Services of type LoadBalancer, once their addresses are decided: each by itself, plan, push, tell.

A change of one Service's endpoints is handled at a cost that does not depend on how many others there are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from skylane_operator.agents.registry import Agents
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.subjects import subject_of
from skylane_operator.memories import Memories
from skylane_operator.model.key import Key, service_owner
from skylane_operator.model.kubernetes import Service
from skylane_operator.plan.observed import OwnerState
from skylane_operator.plan.service_listeners import ServicePlan, plan_for_service
from skylane_operator.plan.service_types import Assigned, Assignment
from skylane_operator.readiness_gates import ReadinessGates
from skylane_operator.snapshot import owned_files
from skylane_operator.status import health_awaited, service_status


@dataclass(frozen=True, slots=True)
class ServiceReconciler:
    """`settled` tells whether every agent has had time to dial since we began."""

    cluster: Cluster
    agents: Agents
    service_status: StatusWriter
    settled: Callable[[], bool]
    now: Callable[[], datetime]
    gates: ReadinessGates
    memories: Memories[Key] = field(default_factory=Memories)

    def reconcile(self, key: Key) -> float | None:
        """Bring what the forwarders run for one Service, and its status, closer to what it asks for.

        Seconds until it needs a look though nothing changes, if it does.
        """
        service = self.cluster.services.get(key)
        owner = service_owner(key)
        assignment = self.cluster.assignments.get(owner)
        wanted = self.cluster.wanted(service) if service is not None else None
        self.agents.withdraw(owner, keep=wanted if isinstance(assignment, Assigned) else None)
        plan = None
        if service is None or wanted is None:
            self._release(key, service)
        elif assignment is not None and assignment.load_balancer == wanted:
            plan = self._serve(service, assignment)
            self._tell(service, assignment, plan)
        if plan is None:
            self.gates.forget(owner)
        return self.memories.keep(key, plan.listeners if plan is not None else ())

    def _release(self, key: Key, service: Service | None) -> None:
        if service is None or service.metadata.deletion_timestamp is not None:
            self.service_status.forget(key)
        elif subject_of(service).status:
            self.service_status.write(subject_of(service), {})

    def _serve(self, service: Service, assignment: Assignment) -> ServicePlan | None:
        if not isinstance(assignment, Assigned):
            return None
        plan = plan_for_service(
            service,
            assignment,
            self.cluster.slices_of(service.key),
            self.memories.earlier(service.key),
        )
        self.agents.push_owned(plan.load_balancer, plan.owner, owned_files(plan))
        return plan

    def _tell(self, service: Service, assignment: Assignment, plan: ServicePlan | None) -> None:
        state = OwnerState()
        if isinstance(assignment, Assigned):
            state = self.agents.owner_state(assignment.load_balancer, service_owner(service.key))
        if plan is not None:
            self.gates.note(plan.owner, plan.listeners, state)
        awaited = state.pending or not state.pods or (plan is not None and health_awaited(plan, state))
        if awaited and not self.settled():
            return  # what was said before still holds, or will be found not to
        subject = subject_of(service)
        status = service_status(service, assignment, plan, state, subject.status, self.now())
        self.service_status.write(subject, status)
