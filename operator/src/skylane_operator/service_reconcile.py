"""The story of Services of type LoadBalancer: addresses for all of them, then each by itself: plan, push, tell.

A change of one Service's endpoints is handled at a cost that does not depend on how many others there are.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from skylane_operator.agents.registry import Agents
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.subjects import subject_of
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.addresses import assign_addresses
from skylane_operator.plan.observed import ServiceState
from skylane_operator.plan.service_listeners import ServicePlan, plan_for_service
from skylane_operator.plan.service_types import Assigned, Assignment
from skylane_operator.snapshot import service_files
from skylane_operator.status import pool_status, service_status


@dataclass(frozen=True, slots=True)
class ServiceReconciler:
    """`mark` has a LoadBalancer looked at, `mark_service` a Service.

    `settled` tells whether every agent has had time to dial since we began.
    """

    cluster: Cluster
    agents: Agents
    service_status: StatusWriter
    pool_status: StatusWriter
    mark: Callable[[Key], None]
    mark_service: Callable[[Key], None]
    settled: Callable[[], bool]
    now: Callable[[], datetime]

    def assign(self) -> None:
        """Give every Service its address, and have those looked at whose address has changed."""
        before, after = self.cluster.assignments, assign_addresses(self.cluster.address_inputs())
        self.cluster.assignments = after
        changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
        for key in changed:
            self._hold(key, before.get(key), after.get(key))
        for key in changed:
            self.mark_service(key)
        self._tell_pools()

    def _hold(self, key: Key, before: Assignment | None, after: Assignment | None) -> None:
        holders = self.cluster.address_holders
        for assignment in (before, after):
            if isinstance(assignment, Assigned):
                for address in assignment.addresses:
                    for rival in self.cluster.load_balancers.claiming(address):
                        self.mark(rival)
                self.mark(assignment.load_balancer)
        for address in before.addresses if isinstance(before, Assigned) else ():
            if holders.get(address) == key:
                del holders[address]
        for address in after.addresses if isinstance(after, Assigned) else ():
            holders[address] = key

    def _tell_pools(self) -> None:
        assigned = [one for one in self.cluster.assignments.values() if isinstance(one, Assigned)]
        addresses = {address for one in assigned for address in one.addresses}
        taken: Counter[str] = Counter()
        pools = list(self.cluster.pools.values())
        for pool in pools:
            if isinstance(pool.parsed, VirtualIPPool):
                taken[pool.key.name] = sum(map(pool.parsed.spec.contains, addresses))
        for pool in pools:
            status = pool_status(pool.parsed, taken[pool.key.name], pool.status, self.now())
            self.pool_status.write(pool, status)

    def reconcile(self, key: Key) -> None:
        """Bring what the forwarders run for one Service, and its status, closer to what it asks for."""
        service = self.cluster.services.get(key)
        assignment = self.cluster.assignments.get(key)
        wanted = self.cluster.wanted(service) if service is not None else None
        self._withdraw(key, keep=wanted if isinstance(assignment, Assigned) else None)
        if service is None or wanted is None:
            self._release(key, service)
        elif assignment is not None and assignment.load_balancer == wanted:
            self._tell(service, assignment, self._serve(service, assignment))

    def _withdraw(self, key: Key, keep: Key | None) -> None:
        """Take the Service's listeners from every LoadBalancer but the one to keep."""
        for load_balancer in self.agents.serving(key):
            if load_balancer != keep:
                self.agents.drop_service(load_balancer, key)

    def _release(self, key: Key, service: Service | None) -> None:
        if service is None or service.metadata.deletion_timestamp is not None:
            self.service_status.forget(key)
        elif subject_of(service).status:
            self.service_status.write(subject_of(service), {})

    def _serve(self, service: Service, assignment: Assignment) -> ServicePlan | None:
        if not isinstance(assignment, Assigned):
            return None
        plan = plan_for_service(
            service, assignment, self.cluster.endpoint_slices.by("service", service.metadata.key)
        )
        self.agents.push_service(plan.load_balancer, plan.service, service_files(plan))
        return plan

    def _tell(self, service: Service, assignment: Assignment, plan: ServicePlan | None) -> None:
        state = ServiceState()
        if isinstance(assignment, Assigned):
            state = self.agents.service_state(assignment.load_balancer, service.metadata.key)
        if not self.settled() and (state.pending or not state.pods):
            return  # what was said before still holds, or will be found not to
        subject = subject_of(service)
        status = service_status(service, assignment, plan, state, subject.status, self.now())
        self.service_status.write(subject, status)
