"""Addresses as the resource writes them. The types refuse what is of the other IP version, with a message."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
)
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

# Dotted decimal; the octets' range is checked by the API server's isIP() and here by the ipaddress module.
ADDRESS_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"
INTERFACE_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"
# As RFC 5952 writes them, so that equal addresses are equal texts: ip.isCanonical() of the API server.
IPV6_PATTERN = r"^[0-9a-f:.]+$"
IPV6_INTERFACE_PATTERN = r"^[0-9a-f:.]+/[0-9]{1,3}$"

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
IPV4, IPV6 = 4, 6  # their `version`


def _with_prefix(value: object) -> object:
    # IPv4Interface takes a bare address as /32 and a netmask after the slash: neither is what the CRD allows.
    if isinstance(value, str) and not value.rpartition("/")[2].isdecimal():
        raise ValueError(f"{value!r} must be an address with a prefix length, such as 10.0.0.11/24")
    if isinstance(value, str) and "/" not in value:
        raise ValueError(f"{value!r} has no prefix length; write for example {value}/24")
    return value


def _with_network(value: object) -> object:
    _with_prefix(value)
    if isinstance(value, str):
        network = ip_interface(value).network
        if value != str(network):
            raise ValueError(f"{value!r} has bits beyond its prefix length or another form; write {network}")
    return value


Address = Annotated[
    IPv4Address,
    WithJsonSchema({"type": "string", "pattern": ADDRESS_PATTERN, "minLength": 7, "maxLength": 15}),
]
Interface = Annotated[
    IPv4Interface,
    BeforeValidator(_with_prefix),
    WithJsonSchema({"type": "string", "pattern": INTERFACE_PATTERN, "minLength": 9, "maxLength": 18}),
]
SourceRange = Annotated[
    IPNetwork,
    BeforeValidator(_with_network),
    WithJsonSchema({"type": "string", "pattern": IPV6_INTERFACE_PATTERN, "minLength": 4, "maxLength": 43}),
]
AddressIPv6 = Annotated[
    IPv6Address,
    WithJsonSchema({"type": "string", "pattern": IPV6_PATTERN, "minLength": 2, "maxLength": 45}),
]
InterfaceIPv6 = Annotated[
    IPv6Interface,
    BeforeValidator(_with_prefix),
    WithJsonSchema({"type": "string", "pattern": IPV6_INTERFACE_PATTERN, "minLength": 4, "maxLength": 49}),
]
VirtualAddress = Annotated[
    IPAddress,
    WithJsonSchema({"type": "string", "pattern": IPV6_PATTERN, "minLength": 2, "maxLength": 45}),
]
