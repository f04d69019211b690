"""The story of addresses: one computation for all Services of type LoadBalancer and all Gateways."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.addresses import assign_addresses
from skylane_operator.plan.service_types import Assigned, Assignment
from skylane_operator.status import pool_status


@dataclass(frozen=True, slots=True)
class AddressReconciler:
    """`mark` has a LoadBalancer looked at, `mark_owner` a Service or Gateway."""

    cluster: Cluster
    pool_status: StatusWriter
    mark: Callable[[Key], None]
    mark_owner: Callable[[ObjectKey], None]
    now: Callable[[], datetime]

    def assign(self) -> None:
        """Give every owner its address, and have those looked at whose address has changed."""
        before, after = self.cluster.assignments, assign_addresses(self.cluster.address_inputs())
        self.cluster.assignments = after
        changed = [owner for owner in before.keys() | after.keys() if before.get(owner) != after.get(owner)]
        for owner in changed:
            self._hold(owner, before.get(owner), after.get(owner))
        for owner in changed:
            self.mark_owner(owner)
        self._tell_pools()

    def _hold(self, owner: ObjectKey, before: Assignment | None, after: Assignment | None) -> None:
        holders = self.cluster.address_holders
        for assignment in (before, after):
            if isinstance(assignment, Assigned):
                for address in assignment.addresses:
                    for rival in self.cluster.load_balancers.claiming(address):
                        self.mark(rival)
                self.mark(assignment.load_balancer)
        for address in before.addresses if isinstance(before, Assigned) else ():
            if holders.get(address) == owner:
                del holders[address]
        for address in after.addresses if isinstance(after, Assigned) else ():
            holders[address] = owner

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
