"""What is decided about those that ask for addresses: Services of type LoadBalancer, and Gateways."""

from dataclasses import dataclass
from enum import StrEnum

from skylane_operator.model.address import IPAddress
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service

ADDRESS_ANNOTATION = "skylane.dev/address"
POOL_ANNOTATION = "skylane.dev/pool"
SHARING_KEY_ANNOTATION = "skylane.dev/sharing-key"

ADDRESS_ASSIGNED = "skylane.dev/AddressAssigned"
PROGRAMMED = "skylane.dev/Programmed"
BACKENDS_HEALTHY = "skylane.dev/BackendsHealthy"
SERVICE_CONDITIONS = (ADDRESS_ASSIGNED, PROGRAMMED, BACKENDS_HEALTHY)


class ServiceReason(StrEnum):
    """Why a Service or Gateway has no address or is not served; also the reason of the condition that says so."""

    LOAD_BALANCER_NOT_FOUND = "LoadBalancerNotFound"
    NOT_PERMITTED = "NotPermitted"
    POOL_NOT_FOUND = "PoolNotFound"
    POOL_EXHAUSTED = "PoolExhausted"
    IPV6_NOT_SERVED = "IPv6NotServed"
    INVALID_ADDRESS = "InvalidAddress"
    ADDRESS_NOT_IN_POOL = "AddressNotInPool"
    ADDRESS_IN_USE = "AddressInUse"
    INVALID_ANNOTATION = "InvalidAnnotation"
    UNSUPPORTED_PROTOCOL = "UnsupportedProtocol"


@dataclass(frozen=True, slots=True)
class Assigned:
    """The address that somebody has. `pool` is empty when no pool holds the address any more: it stays all the same.

    Who asks for both IP versions has another one in `second`, or the reason why it has none.
    """

    address: IPAddress
    load_balancer: Key
    pool: str
    second: "Assigned | Refused | None" = None

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """All that the owner has."""
        return (self.address, *((self.second.address,) if isinstance(self.second, Assigned) else ()))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why it has none; `message` names the object, the field and the mend."""

    load_balancer: Key
    reason: ServiceReason
    message: str


Assignment = Assigned | Refused


def is_marked(service: Service) -> bool:
    """Whether its status carries conditions of ours, which are to be kept true or taken away."""
    return any(c.type in SERVICE_CONDITIONS for c in service.status.conditions)
