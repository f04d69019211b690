"""What is decided about Services of type LoadBalancer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from skylane_operator.model.address import IPAddress
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.load_balancer import ServicesPolicy
from skylane_operator.model.virtual_ip_pool import VirtualIPPool

ADDRESS_ANNOTATION = "skylane.dev/address"
POOL_ANNOTATION = "skylane.dev/pool"
SHARING_KEY_ANNOTATION = "skylane.dev/sharing-key"

ADDRESS_ASSIGNED = "skylane.dev/AddressAssigned"
PROGRAMMED = "skylane.dev/Programmed"


class ServiceReason(StrEnum):
    """Why a Service has no address or is not served; also the reason of the condition that says so."""

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
    SOURCE_RANGES_UNSERVED = "SourceRangesUnserved"


@dataclass(frozen=True, slots=True)
class Assigned:
    """The address that a Service has. `pool` is empty when no pool holds the address any more: it stays all the same.

    A Service of both IP versions has another one in `second`, or the reason why it has none.
    """

    address: IPAddress
    load_balancer: Key
    pool: str
    second: "Assigned | Refused | None" = None

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """All that the Service has."""
        return (self.address, *((self.second.address,) if isinstance(self.second, Assigned) else ()))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a Service has none; `message` names the object, the field and the mend."""

    load_balancer: Key
    reason: ServiceReason
    message: str


Assignment = Assigned | Refused


@dataclass(frozen=True, slots=True)
class AddressInputs:
    """Everything that the addresses of Services depend on: whole state in.

    `services` are those that ask for a LoadBalancer of ours, with the one that they ask for. `load_balancers` tells what
    each offers to Services (None: nothing), `dual_stack` which of them serve IPv6, too. `reserved` are the addresses that
    LoadBalancers claim for themselves. `namespace_labels` are by namespace. `previous` is the outcome before this one.
    """

    services: tuple[tuple[Service, Key], ...]
    load_balancers: Mapping[Key, ServicesPolicy | None]
    pools: Mapping[str, VirtualIPPool]
    dual_stack: frozenset[Key] = frozenset()
    namespace_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reserved: Mapping[IPAddress, Key] = field(default_factory=dict)
    previous: Mapping[Key, Assignment] = field(default_factory=dict)


def is_marked(service: Service) -> bool:
    """Whether its status carries conditions of ours, which are to be kept true or taken away."""
    return any(c.type in (ADDRESS_ASSIGNED, PROGRAMMED) for c in service.status.conditions)
