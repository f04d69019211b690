"""The `VirtualIPPool` resource (skylane.dev/v1alpha1). Held equal to crds/virtualippool.yaml by a test."""

from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from skylane_operator.model.base import ReadModel, SpecModel
from skylane_operator.model.condition import Condition
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.selector import LabelSelector

# A CIDR, or first and last address with a dash between; the octets' range is checked by the API server's isIP() and isCIDR().
RANGE_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2}|-[0-9]{1,3}(\.[0-9]{1,3}){3})$"
AddressRange = Annotated[str, StringConstraints(pattern=RANGE_PATTERN, min_length=9, max_length=31)]


def bounds_of(text: str) -> tuple[int, int]:
    """First and last address of an AddressRange, as numbers. Raises ValueError."""
    first, dash, last = text.partition("-")
    if not dash:
        network = IPv4Network(text)
        return int(network.network_address), int(network.broadcast_address)
    low, high = int(IPv4Address(first)), int(IPv4Address(last))
    if low > high:
        raise ValueError(f"{text}: the first address lies behind the last")
    return low, high


class VirtualIPPoolSpec(SpecModel):
    """Spec: which addresses, and for whom."""

    addresses: Annotated[tuple[AddressRange, ...], Field(min_length=1, max_length=64)]
    auto_assign: bool = True
    namespace_selector: LabelSelector | None = None
    service_selector: LabelSelector | None = None

    @field_validator("addresses")
    @classmethod
    def _bounded(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        spans = sorted(bounds_of(text) for text in addresses)
        for (_, last), (first, _) in pairwise(spans):
            if first <= last:
                raise ValueError(f"{IPv4Address(first)} is in two of the ranges; name each address once")
        return addresses

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First and last address of each range, as numbers, in the order of the spec."""
        return tuple(bounds_of(text) for text in self.addresses)

    @cached_property
    def size(self) -> int:
        """How many addresses there are."""
        return sum(last - first + 1 for first, last in self.spans)

    def contains(self, address: IPv4Address) -> bool:
        """Whether the address is one of the pool."""
        return any(first <= int(address) <= last for first, last in self.spans)

    def in_order(self) -> Iterator[IPv4Address]:
        """All addresses, in the order in which they are given away."""
        for first, last in self.spans:
            yield from map(IPv4Address, range(first, last + 1))


class VirtualIPPoolStatus(SpecModel):
    """Status: what is taken. Only the operator writes it."""

    observed_generation: int | None = None
    size: int | None = None
    assigned: int | None = None
    available: int | None = None
    conditions: tuple[Condition, ...] = ()


class VirtualIPPool(ReadModel):
    """The object without its status, which we only write."""

    metadata: ObjectMeta
    spec: VirtualIPPoolSpec
