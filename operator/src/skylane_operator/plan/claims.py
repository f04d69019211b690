"""What a LoadBalancer claims for itself alone, and which of two claimants wins."""

from dataclasses import dataclass
from datetime import UTC, datetime

from skylane_operator.model.address import IPAddress
from skylane_operator.model.key import Key
from skylane_operator.model.load_balancer import LoadBalancer, VirtualEndpoint

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Claims:
    """Addresses and virtual endpoints of one LoadBalancer.

    `pod_addresses` are the pods' own and local (SNAT) addresses.
    """

    key: Key
    created: datetime
    vips: frozenset[IPAddress]
    endpoints: frozenset[VirtualEndpoint]
    pod_addresses: frozenset[IPAddress]

    @property
    def seniority(self) -> tuple[datetime, Key]:
        """The smallest wins: the oldest object, and of equally old ones the first by namespace and name."""
        return (self.created, self.key)


def claims_for(load_balancer: LoadBalancer) -> Claims:
    """The claims that a LoadBalancer's spec makes."""
    dataplane, listeners = load_balancer.spec.dataplane, load_balancer.spec.listeners
    own = {address.ip for network in dataplane.networks for address in network.own_addresses}
    return Claims(
        key=load_balancer.key,
        created=load_balancer.metadata.creation_timestamp or _NEVER,
        vips=frozenset(listener.vip for listener in listeners),
        endpoints=frozenset(listener.endpoint for listener in listeners),
        pod_addresses=frozenset(own | set(dataplane.all_local_addresses)),
    )
