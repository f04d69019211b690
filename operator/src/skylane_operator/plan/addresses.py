"""Which Service of type LoadBalancer, and which Gateway, has which address.

What an owner has, it keeps: over restarts of the operator (its status is the record), over edits of the pools, while its
LoadBalancer is away. What it does not have it gets from the pools of its LoadBalancer, in their order, lowest address first.
Nothing else is stored: an address is free as soon as nobody has it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from operator import attrgetter

from skylane_operator.model.address import IPV6, IPAddress
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.load_balancer import NamespacesFrom, ServicesPolicy
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.address_inputs import AddressInputs
from skylane_operator.plan.askers import Asker
from skylane_operator.plan.service_types import (
    POOL_ANNOTATION,
    SHARING_KEY_ANNOTATION,
    Assigned,
    Assignment,
    Refused,
    ServiceReason,
)

_NEVER = datetime.max.replace(tzinfo=UTC)

Ports = frozenset[tuple[int, str]]


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """Ends the search for one owner's address."""

    def __init__(self, reason: ServiceReason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(slots=True)
class _Claim:
    """One owner, for one IP version. `ports` only where they matter: with a sharing key."""

    asker: Asker
    load_balancer: Key
    owner: ObjectKey
    version: int
    seniority: tuple[datetime, Key, str, int]
    sharing_key: str
    ports: Ports

    def shares_with(self, other: "_Claim") -> bool:
        return bool(
            self.sharing_key
            and self.sharing_key == other.sharing_key
            and self.load_balancer == other.load_balancer
            and not self.ports & other.ports
        )


@dataclass(slots=True)
class _Book:
    """Who holds which address, as far as it is decided."""

    reserved: Mapping[IPAddress, Key]
    holders: dict[IPAddress, list[_Claim]] = field(default_factory=dict)
    shared: dict[tuple[Key, str], list[IPAddress]] = field(default_factory=dict)
    free: dict[tuple[str, int], Iterator[IPAddress]] = field(default_factory=dict)

    def holder(self, address: IPAddress, claim: _Claim) -> str:
        """The owner that is in the way; empty if none is."""
        others = self.holders.get(address)
        if not others:
            return ""
        strangers = [other for other in others if not claim.shares_with(other)]
        return str(strangers[0].owner) if strangers else ""

    def obstacle(self, address: IPAddress, claim: _Claim) -> str:
        """Who is in the way; empty if nobody is."""
        if address in self.reserved:
            return f"LoadBalancer {self.reserved[address]}"
        return self.holder(address, claim)

    def hold(self, address: IPAddress, claim: _Claim) -> None:
        self.holders.setdefault(address, []).append(claim)
        if claim.sharing_key:
            self.shared.setdefault((claim.load_balancer, claim.sharing_key), []).append(address)

    def next_free(self, pool: VirtualIPPool, version: int) -> IPAddress | None:
        # Within one run addresses are only ever taken: each pool is walked through once.
        walk = self.free.setdefault((pool.metadata.name, version), pool.spec.in_order(version))
        return next((one for one in walk if one not in self.holders and one not in self.reserved), None)


def assign_addresses(inputs: AddressInputs) -> dict[ObjectKey, Assignment]:
    """Assign. Equal inputs give equal outcomes; the older of two owners that want the same address gets it."""
    book = _Book(inputs.reserved)
    claims = sorted(_claims(inputs.askers), key=attrgetter("seniority"))
    outcome: dict[tuple[ObjectKey, int], Assignment] = {}
    for claim in claims:
        kept = _kept(inputs, book, claim)
        if kept is not None:
            book.hold(kept.address, claim)
            outcome[claim.owner, claim.version] = kept
    for claim in claims:
        if (claim.owner, claim.version) not in outcome:
            outcome[claim.owner, claim.version] = _sought(inputs, book, claim)
    return {asker.owner: _together(asker, outcome) for asker in inputs.askers}


def _together(asker: Asker, outcome: Mapping[tuple[ObjectKey, int], Assignment]) -> Assignment:
    """What it has of each of its IP versions, as one. Without the first it has nothing."""
    first, *more = [outcome[asker.owner, version] for version in asker.ip_versions]
    return replace(first, second=more[0]) if more and isinstance(first, Assigned) else first


def _claims(askers: Iterable[Asker]) -> Iterator[_Claim]:
    for asker in askers:
        owner, created = asker.owner, asker.metadata.creation_timestamp or _NEVER
        sharing_key = asker.metadata.annotations.get(SHARING_KEY_ANNOTATION, "")
        ports = asker.ports if sharing_key else frozenset[tuple[int, str]]()
        for version in asker.ip_versions:
            seniority = (created, owner.key, owner.kind, version)
            yield _Claim(asker, asker.load_balancer, owner, version, seniority, sharing_key, ports)


def _kept(inputs: AddressInputs, book: _Book, claim: _Claim) -> Assigned | None:
    """What the owner has already, if it may keep it."""
    address = _recorded(inputs, claim)
    # A LoadBalancer that begins to claim the address comes too late: it is told so.
    if address is None or book.holder(address, claim):
        return None
    try:
        requested = _requested(claim)
        policy = _policy(inputs, claim) if claim.load_balancer in inputs.load_balancers else None
    except _Refusal:
        return None
    if requested not in (None, address):
        return None
    names = policy.pools if policy else tuple(inputs.pools)
    pools = [inputs.pools[name] for name in names if name in inputs.pools]
    pool = next((one.metadata.name for one in pools if one.spec.contains(address)), "")
    return Assigned(address, claim.load_balancer, pool)


def _recorded(inputs: AddressInputs, claim: _Claim) -> IPAddress | None:
    previous = inputs.previous.get(claim.owner)
    if isinstance(previous, Assigned):
        # Another LoadBalancer has other pools, and routers that lead elsewhere.
        known = previous.addresses if previous.load_balancer == claim.load_balancer else ()
        return _of_version(known, claim.version)
    return _of_version(map(_parsed, claim.asker.recorded), claim.version)


def _of_version(addresses: Iterable[IPAddress | None], version: int) -> IPAddress | None:
    return next((one for one in addresses if one is not None and one.version == version), None)


def _parsed(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _sought(inputs: AddressInputs, book: _Book, claim: _Claim) -> Assignment:
    try:
        address, pool = _found(inputs, book, claim)
    except _Refusal as refusal:
        return Refused(claim.load_balancer, refusal.reason, refusal.message)
    book.hold(address, claim)
    return Assigned(address, claim.load_balancer, pool)


Found = tuple[IPAddress, str]


def _found(inputs: AddressInputs, book: _Book, claim: _Claim) -> Found:
    requested = _requested(claim)
    pools = list(_pools(inputs, claim))
    if requested is not None:
        return _at_request(pools, book, claim, requested)
    found = _shared(pools, book, claim) or _lowest(pools, book, claim.version)
    if found is None:
        names = ", ".join(pool.metadata.name for pool in pools)
        raise _Refusal(
            ServiceReason.POOL_EXHAUSTED,
            f"no IPv{claim.version} address is free in VirtualIPPool {names}; add addresses to it, or delete who has "
            "one",
        )
    return found


def _at_request(pools: list[VirtualIPPool], book: _Book, claim: _Claim, requested: IPAddress) -> Found:
    pool = next((one for one in pools if one.spec.contains(requested)), None)
    if pool is None:
        offered = ", ".join(f"{one.metadata.name} ({', '.join(one.spec.addresses)})" for one in pools)
        raise _Refusal(
            ServiceReason.ADDRESS_NOT_IN_POOL,
            f"{requested} is in no VirtualIPPool that this {claim.owner.kind} may take from; choose an address of {offered}",
        )
    if obstacle := book.obstacle(requested, claim):
        raise _Refusal(
            ServiceReason.ADDRESS_IN_USE,
            f"{requested} belongs to {obstacle}; choose another address, or give both owners the same annotation "
            f"{SHARING_KEY_ANNOTATION} and different ports",
        )
    return requested, pool.metadata.name


def _shared(pools: list[VirtualIPPool], book: _Book, claim: _Claim) -> Found | None:
    """An address of those that it may share, if there is one already."""
    for address in book.shared.get((claim.load_balancer, claim.sharing_key), ()):
        pool = next((one for one in pools if one.spec.contains(address)), None)
        if address.version == claim.version and pool is not None and not book.obstacle(address, claim):
            return address, pool.metadata.name
    return None


def _lowest(pools: list[VirtualIPPool], book: _Book, version: int) -> Found | None:
    for pool in pools:
        address = book.next_free(pool, version)
        if address is not None:
            return address, pool.metadata.name
    return None


def _requested(claim: _Claim) -> IPAddress | None:
    """The address of the claim's IP version that the owner asks for by itself."""
    text = claim.asker.requested
    if not text:
        return None
    addresses = [_parsed(part.strip()) for part in text.split(",")]
    if None in addresses:
        raise _Refusal(
            ServiceReason.INVALID_ADDRESS,
            f"{claim.asker.requested_by}: {text!r} is no address, nor several joined by commas; correct it",
        )
    return _of_version(addresses, claim.version)


def _policy(inputs: AddressInputs, claim: _Claim) -> ServicesPolicy:
    """What its LoadBalancer offers it."""
    key = claim.load_balancer
    if key not in inputs.load_balancers:
        raise _Refusal(
            ServiceReason.LOAD_BALANCER_NOT_FOUND,
            f"LoadBalancer {key} does not exist; create it, or correct {claim.asker.chosen_by}",
        )
    policy = inputs.load_balancers[key]
    if policy is None:
        raise _Refusal(
            ServiceReason.NOT_PERMITTED,
            f"LoadBalancer {key} serves no {claim.owner.kind}s: it has no spec.services; add it there, or choose another class",
        )
    if not _permits(policy, key, claim, inputs.namespace_labels):
        raise _Refusal(
            ServiceReason.NOT_PERMITTED,
            f"LoadBalancer {key} does not serve {claim.owner.kind}s of namespace {claim.owner.key.namespace}; "
            "extend its spec.services.namespaces",
        )
    if claim.version == IPV6 and key not in inputs.dual_stack:
        raise _Refusal(
            ServiceReason.IPV6_NOT_SERVED,
            f"LoadBalancer {key} serves IPv4 only: it has no spec.dataplane.localAddressesIPv6; add them, or ask for IPv4 "
            "in spec.ipFamilies",
        )
    return policy


def _permits(
    policy: ServicesPolicy, key: Key, claim: _Claim, labels: Mapping[str, Mapping[str, str]]
) -> bool:
    match policy.namespaces.from_:
        case NamespacesFrom.ALL:
            return True
        case NamespacesFrom.SELECTOR:
            selector = policy.namespaces.selector
            return selector is not None and selector.matches(labels.get(claim.owner.key.namespace, {}))
    return claim.owner.key.namespace == key.namespace


def _pools(inputs: AddressInputs, claim: _Claim) -> Iterable[VirtualIPPool]:
    """The pools that it may take from, in order; at least one."""
    policy, wanted = _policy(inputs, claim), claim.asker.metadata.annotations.get(POOL_ANNOTATION, "")
    if wanted and wanted not in policy.pools:
        raise _Refusal(
            ServiceReason.POOL_NOT_FOUND,
            f"the annotation {POOL_ANNOTATION}: LoadBalancer {claim.load_balancer} does not take from VirtualIPPool "
            f"{wanted} (it takes from {', '.join(policy.pools)}); correct it",
        )
    names = (wanted,) if wanted else policy.pools
    existing = [inputs.pools[name] for name in names if name in inputs.pools]
    if not existing:
        raise _Refusal(
            ServiceReason.POOL_NOT_FOUND,
            f"VirtualIPPool {', '.join(names)} does not exist or is not valid; create or mend it, or correct "
            f"spec.services.pools of LoadBalancer {claim.load_balancer}",
        )
    labels = inputs.namespace_labels.get(claim.owner.key.namespace, {})
    by_name = bool(wanted) or _requested(claim) is not None
    open_to_it = [pool for pool in existing if _is_open(pool, claim, labels, by_name=by_name)]
    if not open_to_it:
        raise _Refusal(
            ServiceReason.NOT_PERMITTED,
            f"VirtualIPPool {', '.join(pool.metadata.name for pool in existing)} is not for this {claim.owner.kind}: look at its "
            f"namespaceSelector, serviceSelector and autoAssign (false: name it by the annotation {POOL_ANNOTATION})",
        )
    return open_to_it


def _is_open(pool: VirtualIPPool, claim: _Claim, labels: Mapping[str, str], *, by_name: bool) -> bool:
    spec = pool.spec
    return (
        (spec.auto_assign or by_name)
        and (spec.namespace_selector is None or spec.namespace_selector.matches(labels))
        and (spec.service_selector is None or spec.service_selector.matches(claim.asker.metadata.labels))
    )
