"""spec.dataplane.networks of a LoadBalancer: the secondary interfaces of its pods."""

from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated

from pydantic import Field, StringConstraints

from skylane_operator.model.address import Address, AddressIPv6, Interface, InterfaceIPv6, IPAddress
from skylane_operator.model.base import SpecModel
from skylane_operator.model.key import Key

DnsLabel = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
AttachmentName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        min_length=1,
        max_length=317,
    ),
]
ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        min_length=3,
        max_length=317,
    ),
]


class Driver(StrEnum):
    """How the forwarder takes hold of the network device."""

    VFIO = "vfio"
    MLX5 = "mlx5"
    AF_XDP = "af_xdp"
    AF_PACKET = "af_packet"


class NetworkIPv6(SpecModel):
    """spec.dataplane.networks[].ipv6: what a network with both IP versions has besides."""

    addresses: Annotated[tuple[InterfaceIPv6, ...], Field(min_length=1, max_length=64)]
    gateway: AddressIPv6


class Network(SpecModel):
    """One entry of spec.dataplane.networks: a secondary interface of every pod."""

    name: DnsLabel
    network_attachment: AttachmentName
    resource_name: ResourceName
    driver: Driver
    addresses: Annotated[tuple[Interface, ...], Field(min_length=1, max_length=64)]
    gateway: Address
    ipv6: NetworkIPv6 | None = None
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = None

    @property
    def own_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """The pods' addresses of both IP versions."""
        return self.addresses + (self.ipv6.addresses if self.ipv6 else ())

    @property
    def gateways(self) -> tuple[IPAddress, ...]:
        """The routers of both IP versions."""
        return (self.gateway, *((self.ipv6.gateway,) if self.ipv6 else ()))

    def attachment_key(self, own_namespace: str) -> Key:
        """The NetworkAttachmentDefinition: in the LoadBalancer's namespace unless the user names another."""
        namespace, _, name = self.network_attachment.rpartition("/")
        return Key(namespace or own_namespace, name)
