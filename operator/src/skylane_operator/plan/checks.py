"""Mistakes in the base: addresses, network attachments. The CRD refuses most of them; not what crosses objects."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv6Interface

from skylane_operator.model.address import IPAddress
from skylane_operator.model.network import Network
from skylane_operator.plan.claims import Claims, claims_for
from skylane_operator.plan.types import Blocks, Inputs, Reason, Rejected

_NETWORKS = "spec.dataplane.networks"
_LOCAL = "spec.dataplane.localAddresses"
_LOCAL_IPV6 = "spec.dataplane.localAddressesIPv6"

Interfaces = Sequence[IPv4Interface | IPv6Interface]


def base_rejections(inputs: Inputs) -> tuple[Rejected, ...]:
    """Everything that keeps pods from being made or replaced."""
    found = [
        *_too_few_addresses(inputs),
        *_address_twice(inputs),
        *_gateway_off_subnet(inputs),
        *_peers_off_subnet(inputs),
        *_taken_by_others(inputs),
        *_taken_by_services(inputs),
        *_attachments(inputs),
    ]
    return tuple(
        Rejected(inputs.load_balancer.key, field, reason, f"{field}: {message}", Blocks.BASE)
        for field, reason, message in found
    )


Finding = tuple[str, Reason, str]


def _subnets(inputs: Inputs) -> Iterator[tuple[str, Interfaces, IPAddress]]:
    """Field path, the pods' addresses and the router of each network and IP version."""
    for index, network in enumerate(inputs.load_balancer.spec.dataplane.networks):
        yield f"{_NETWORKS}[{index}]", network.addresses, network.gateway
        if network.ipv6 is not None:
            yield f"{_NETWORKS}[{index}].ipv6", network.ipv6.addresses, network.ipv6.gateway


def _local_addresses(inputs: Inputs) -> Iterator[tuple[str, tuple[IPAddress, ...]]]:
    dataplane = inputs.load_balancer.spec.dataplane
    yield _LOCAL, dataplane.local_addresses
    if dataplane.local_addresses_ipv6:
        yield _LOCAL_IPV6, dataplane.local_addresses_ipv6


def _too_few_addresses(inputs: Inputs) -> Iterator[Finding]:
    spec = inputs.load_balancer.spec
    for path, addresses, _ in _subnets(inputs):
        if len(addresses) < spec.replicas:
            yield (
                f"{path}.addresses",
                Reason.INVALID,
                (
                    f"{spec.replicas} replicas need one address each, but it holds {len(addresses)}; "
                    "add addresses, or lower spec.replicas"
                ),
            )
    per_replica = spec.dataplane.local_addresses_per_replica
    needed = spec.replicas * per_replica
    for path, given in _local_addresses(inputs):
        if len(given) < needed:
            yield (
                path,
                Reason.INVALID,
                (
                    f"{spec.replicas} replicas with {per_replica} each need {needed} addresses, but it holds {len(given)}; "
                    "add addresses, or lower spec.replicas or spec.dataplane.localAddressesPerReplica"
                ),
            )


def _placed_addresses(inputs: Inputs) -> Iterator[tuple[str, IPAddress]]:
    for path, addresses, _ in _subnets(inputs):
        for ordinal, address in enumerate(addresses):
            yield f"{path}.addresses[{ordinal}]", address.ip
    for path, given in _local_addresses(inputs):
        for index, local in enumerate(given):
            yield f"{path}[{index}]", local


def _address_twice(inputs: Inputs) -> Iterator[Finding]:
    seen: dict[IPAddress, str] = {gateway: f"{path}.gateway" for path, _, gateway in _subnets(inputs)}
    for field, address in _placed_addresses(inputs):
        if address in seen and not _is_own_gateway(field, seen[address]):
            yield (
                field,
                Reason.ADDRESS_CONFLICT,
                f"{address} is already used by {seen[address]}; give it one use only",
            )
        seen.setdefault(address, field)


def _is_own_gateway(field: str, used_by: str) -> bool:
    """Whether `_gateway_off_subnet` says it already."""
    return used_by.endswith(".gateway") and field.startswith(used_by.removesuffix("gateway"))


def _gateway_off_subnet(inputs: Inputs) -> Iterator[Finding]:
    for path, addresses, gateway in _subnets(inputs):
        for ordinal, address in enumerate(addresses):
            # Routers tell hosts their link-local address (RFC 4861), which is in nobody's prefix.
            off_link = gateway not in address.network and not gateway.is_link_local
            if off_link or gateway == address.ip:
                yield (
                    f"{path}.gateway",
                    Reason.INVALID,
                    (
                        f"{gateway} is not another host of {address.network}, the subnet of addresses[{ordinal}] "
                        f"{address}; name the router of that subnet"
                    ),
                )
                break


def _peers_off_subnet(inputs: Inputs) -> Iterator[Finding]:
    """Pods that know each other's flows take over each other's addresses, which works on one segment only."""
    dataplane = inputs.load_balancer.spec.dataplane
    if not dataplane.session_sync.enabled:
        return
    first, *others = dataplane.networks[0].addresses
    for ordinal, address in enumerate(others, 1):
        if address.network != first.network:
            yield (
                f"{_NETWORKS}[0].addresses[{ordinal}]",
                Reason.INVALID,
                (
                    f"{address} is not in {first.network}, the subnet of addresses[0]; spec.dataplane.sessionSync wants one: "
                    "give them one prefix, or leave sessionSync out"
                ),
            )


def senior_claims(inputs: Inputs) -> tuple[Claims, ...]:
    """Claims of the LoadBalancers that win against this one, strongest first."""
    own = claims_for(inputs.load_balancer)
    return tuple(
        sorted((c for c in inputs.other_claims if c.seniority < own.seniority), key=lambda c: c.seniority)
    )


def _taken_by_others(inputs: Inputs) -> Iterator[Finding]:
    for other in senior_claims(inputs):
        for field, address in _placed_addresses(inputs):
            if address in other.pod_addresses or address in other.vips:
                yield (
                    field,
                    Reason.ADDRESS_CONFLICT,
                    f"{address} belongs to the older LoadBalancer {other.key}; choose another address",
                )


def _taken_by_services(inputs: Inputs) -> Iterator[Finding]:
    for field, address in _placed_addresses(inputs):
        if address in inputs.assigned_addresses:
            yield (
                field,
                Reason.ADDRESS_CONFLICT,
                f"{address} is assigned to {inputs.assigned_addresses[address]}; choose another address",
            )


def _attachments(inputs: Inputs) -> Iterator[Finding]:
    for index, network in enumerate(inputs.load_balancer.spec.dataplane.networks):
        finding = _attachment(inputs, network, f"{_NETWORKS}[{index}]")
        if finding is not None:
            yield finding


def _attachment(inputs: Inputs, network: Network, path: str) -> Finding | None:
    key = network.attachment_key(inputs.load_balancer.key.namespace)
    attachment = inputs.network_attachments.get(key)
    if attachment is None:
        return (
            f"{path}.networkAttachment",
            Reason.NETWORK_ATTACHMENT_NOT_FOUND,
            f"NetworkAttachmentDefinition {key} does not exist; create it, or correct the name",
        )
    if attachment.resource_name not in (None, network.resource_name):
        return (
            f"{path}.resourceName",
            Reason.NETWORK_ATTACHMENT_MISMATCH,
            (
                f"{network.resource_name}, but NetworkAttachmentDefinition {key} takes {attachment.resource_name}; "
                "make the two equal"
            ),
        )
    return None
