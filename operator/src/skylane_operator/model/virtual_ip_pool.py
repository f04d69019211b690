"""The `VirtualIPPool` resource (skylane.dev/v1alpha1). Held equal to crds/virtualippool.yaml by a test."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from skylane_operator.model.address import IPAddress
from skylane_operator.model.base import ReadModel, SpecModel
from skylane_operator.model.condition import Condition
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.selector import LabelSelector

# A CIDR, or first and last address with a dash between; what they are made of is checked by the API server's isIP() and isCIDR().
RANGE_PATTERN = r"^[0-9a-f:.]+(/[0-9]{1,3}|-[0-9a-f:.]+)$"
AddressRange = Annotated[str, StringConstraints(pattern=RANGE_PATTERN, min_length=4, max_length=91)]
# More would be more than a status can count, and than anybody will give away.
MAX_RANGE = 1 << 32


@dataclass(frozen=True, slots=True)
class Span:
    """First and last address of a range."""

    first: IPAddress
    last: IPAddress

    @property
    def size(self) -> int:
        """How many addresses there are."""
        return int(self.last) - int(self.first) + 1

    def contains(self, address: IPAddress) -> bool:
        """Whether the address is one of them."""
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def in_order(self) -> Iterator[IPAddress]:
        """All of them."""
        return (self.first + offset for offset in range(self.size))


def span_of(text: str) -> Span:
    """First and last address of an AddressRange. Raises ValueError."""
    low, dash, high = text.partition("-")
    if dash:
        span = Span(ip_address(low), ip_address(high))
    else:
        network = ip_network(text)
        span = Span(network.network_address, network.broadcast_address)
    if span.first.version != span.last.version or int(span.first) > int(span.last):
        raise ValueError(f"{text}: the first address lies behind the last")
    if span.size > MAX_RANGE:
        raise ValueError(f"{text}: more than {MAX_RANGE} addresses; give away a part of them, such as a /96")
    return span


class VirtualIPPoolSpec(SpecModel):
    """Spec: which addresses, and for whom."""

    addresses: Annotated[tuple[AddressRange, ...], Field(min_length=1, max_length=64)]
    auto_assign: bool = True
    namespace_selector: LabelSelector | None = None
    service_selector: LabelSelector | None = None

    @field_validator("addresses")
    @classmethod
    def _bounded(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        spans = sorted(map(span_of, addresses), key=lambda span: (span.first.version, int(span.first)))
        for before, after in pairwise(spans):
            if before.contains(after.first):
                raise ValueError(f"{after.first} is in two of the ranges; name each address once")
        return addresses

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The ranges, in the order of the spec."""
        return tuple(map(span_of, self.addresses))

    @cached_property
    def size(self) -> int:
        """How many addresses there are."""
        return sum(span.size for span in self.spans)

    def contains(self, address: IPAddress) -> bool:
        """Whether the address is one of the pool."""
        return any(span.contains(address) for span in self.spans)

    def in_order(self, version: int) -> Iterator[IPAddress]:
        """All addresses of an IP version, in the order in which they are given away."""
        for span in self.spans:
            if span.first.version == version:
                yield from span.in_order()


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
