"""Mistakes in the base: addresses, network attachments. The CRD refuses most of them; not what crosses objects."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from skylane_operator.model.load_balancer import Network
from skylane_operator.plan.claims import Claims, claims_for
from skylane_operator.plan.types import Blocks, Inputs, Reason, Rejected

_NETWORKS = "spec.dataplane.networks"
_LOCAL = "spec.dataplane.localAddresses"


def base_rejections(inputs: Inputs) -> tuple[Rejected, ...]:
    """Everything that keeps pods from being made or replaced."""
    found = [
        *_too_few_addresses(inputs),
        *_address_twice(inputs),
        *_gateway_off_subnet(inputs),
        *_taken_by_others(inputs),
        *_taken_by_services(inputs),
        *_attachments(inputs),
    ]
    return tuple(
        Rejected(inputs.load_balancer.key, field, reason, f"{field}: {message}", Blocks.BASE)
        for field, reason, message in found
    )


Finding = tuple[str, Reason, str]


def _too_few_addresses(inputs: Inputs) -> Iterator[Finding]:
    spec = inputs.load_balancer.spec
    for index, network in enumerate(spec.dataplane.networks):
        if len(network.addresses) < spec.replicas:
            yield (
                f"{_NETWORKS}[{index}].addresses",
                Reason.INVALID,
                (
                    f"{spec.replicas} replicas need one address each, but it holds {len(network.addresses)}; "
                    "add addresses, or lower spec.replicas"
                ),
            )
    per_replica = spec.dataplane.local_addresses_per_replica
    needed, given = spec.replicas * per_replica, len(spec.dataplane.local_addresses)
    if given < needed:
        yield (
            _LOCAL,
            Reason.INVALID,
            (
                f"{spec.replicas} replicas with {per_replica} each need {needed} addresses, but it holds {given}; "
                "add addresses, or lower spec.replicas or spec.dataplane.localAddressesPerReplica"
            ),
        )


def _placed_addresses(inputs: Inputs) -> Iterator[tuple[str, IPv4Address]]:
    dataplane = inputs.load_balancer.spec.dataplane
    for index, network in enumerate(dataplane.networks):
        for ordinal, address in enumerate(network.addresses):
            yield f"{_NETWORKS}[{index}].addresses[{ordinal}]", address.ip
    for index, local in enumerate(dataplane.local_addresses):
        yield f"{_LOCAL}[{index}]", local


def _address_twice(inputs: Inputs) -> Iterator[Finding]:
    networks = inputs.load_balancer.spec.dataplane.networks
    seen: dict[IPv4Address, str] = {
        network.gateway: f"{_NETWORKS}[{index}].gateway" for index, network in enumerate(networks)
    }
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
    for index, network in enumerate(inputs.load_balancer.spec.dataplane.networks):
        for ordinal, address in enumerate(network.addresses):
            if network.gateway not in address.network or network.gateway == address.ip:
                yield (
                    f"{_NETWORKS}[{index}].gateway",
                    Reason.INVALID,
                    (
                        f"{network.gateway} is not another host of {address.network}, the subnet of addresses[{ordinal}] "
                        f"{address}; name the router of that subnet"
                    ),
                )
                break


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
        if address in inputs.service_addresses:
            yield (
                field,
                Reason.ADDRESS_CONFLICT,
                f"{address} is assigned to Service {inputs.service_addresses[address]}; choose another address",
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
