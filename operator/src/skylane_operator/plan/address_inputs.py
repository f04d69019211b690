"""What the addresses of Services and Gateways depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skylane_operator.model.address import IPAddress
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.load_balancer import ServicesPolicy
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.askers import Asker
from skylane_operator.plan.service_types import Assignment


@dataclass(frozen=True, slots=True)
class AddressInputs:
    """Everything that the addresses depend on: whole state in.

    `askers` are those that ask for a LoadBalancer of ours. `load_balancers` tells what each offers to them (None: nothing),
    `dual_stack` which of them serve IPv6, too. `reserved` are the addresses that LoadBalancers claim for themselves.
    `namespace_labels` are by namespace. `previous` is the outcome before this one.
    """

    askers: tuple[Asker, ...]
    load_balancers: Mapping[Key, ServicesPolicy | None]
    pools: Mapping[str, VirtualIPPool]
    dual_stack: frozenset[Key] = frozenset()
    namespace_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reserved: Mapping[IPAddress, Key] = field(default_factory=dict)
    previous: Mapping[ObjectKey, Assignment] = field(default_factory=dict)
