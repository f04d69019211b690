"""The LoadBalancers as they are stored, with indexes that say whom a change of something else concerns.

Kopf watches them and wakes us; what an event carries is not kept. A key that was woken is read again when it is reconciled, and
all are listed again every minute: Kopf never tells of an object that was deleted while its own watch was down.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from skylane_operator.errors import ApiNotFoundError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import LOAD_BALANCER
from skylane_operator.kube.store import Store
from skylane_operator.model.address import IPAddress
from skylane_operator.model.key import Key
from skylane_operator.model.load_balancer import LoadBalancer, ServicesPolicy
from skylane_operator.model.readable import readable_status
from skylane_operator.plan import Claims, Rejected, claims_for, load_balancer_from

Json = dict[str, Any]

MAX_DELETED = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """A LoadBalancer, or what is wrong with it; and its status as far as it can be read."""

    key: Key
    uid: str
    generation: int
    version: int
    status: Json
    parsed: LoadBalancer | tuple[Rejected, ...]
    claims: Claims | None
    ending: bool = False  # deleted, but kept until its dependents are gone (foreground deletion)

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """All that it claims."""
        return self.claims.vips | self.claims.pod_addresses if self.claims else frozenset()

    @property
    def gateways(self) -> frozenset[IPAddress]:
        """Routers of its networks: no VIP of anybody."""
        if not isinstance(self.parsed, LoadBalancer):
            return frozenset()
        networks = self.parsed.spec.dataplane.networks
        return frozenset(gateway for network in networks for gateway in network.gateways)

    @property
    def placed(self) -> bool:
        """Whether its last status said that the nodes can take its pods."""
        conditions = self.status.get("conditions", ())
        return any(c["type"] == "ResourcesAvailable" and c["status"] == "True" for c in conditions)


def stored_from(body: Json) -> Stored:
    """From an object of the API."""
    metadata = body["metadata"]
    parsed = load_balancer_from(body)
    return Stored(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        version=int(metadata["resourceVersion"]),
        status=readable_status(body.get("status")),
        parsed=parsed,
        claims=claims_for(parsed) if isinstance(parsed, LoadBalancer) else None,
        ending="deletionTimestamp" in metadata,
    )


def _offer(stored: Stored | None) -> tuple[object, ...] | None:
    """What the addresses of Services depend on."""
    if stored is None or stored.ending or not isinstance(stored.parsed, LoadBalancer):
        return None
    return (stored.parsed.spec.services, stored.addresses, stored.gateways)


def _services(stored: Stored) -> Iterator[Hashable]:
    if isinstance(stored.parsed, LoadBalancer):
        for listener in stored.parsed.spec.listeners:
            for backend in listener.backends:
                yield Key(stored.key.namespace, backend.service)


def _attachments(stored: Stored) -> Iterator[Hashable]:
    if isinstance(stored.parsed, LoadBalancer):
        for network in stored.parsed.spec.dataplane.networks:
            yield network.attachment_key(stored.key.namespace)


def _bgp_peers(stored: Stored) -> Iterator[Hashable]:
    if isinstance(stored.parsed, LoadBalancer):
        yield from stored.parsed.bgp_peers


class LoadBalancers:
    """All of them; see the module.

    `contested` is told of every other LoadBalancer that claims an address which one has begun or ceased to claim,
    `offered` of every one whose addresses or terms for Services have changed.
    """

    def __init__(
        self,
        client: KubeClient,
        namespaces: tuple[str, ...],
        contested: Callable[[Key], None],
        offered: Callable[[Key], None],
    ) -> None:
        self._client, self._namespaces = client, namespaces or ("",)
        self._contested, self._offered = contested, offered
        self._stale: set[Key] = set()
        # uids, which never come again; an answer cannot be late for longer than a thousand deletions take
        self._deleted: deque[str] = deque(maxlen=MAX_DELETED)
        self._store: Store[Stored] = Store(
            {
                "service": _services,
                "attachment": _attachments,
                "bgp_peer": _bgp_peers,
                "address": lambda stored: stored.addresses,
                "unplaced": lambda stored: () if stored.placed else (True,),
            }
        )

    def all(self) -> list[Key]:
        """All there are."""
        return sorted(self._store)

    def exists(self, key: Key) -> bool:
        """Whether there is such a one, readable or not."""
        return self._store.get(key) is not None

    def offers(self) -> dict[Key, ServicesPolicy | None]:
        """What each that can be read offers to Services of type LoadBalancer; None: nothing."""
        return {
            stored.key: stored.parsed.spec.services
            for stored in self._store.values()
            if isinstance(stored.parsed, LoadBalancer) and not stored.ending
        }

    def dual_stack(self) -> frozenset[Key]:
        """Those that serve IPv6, too."""
        return frozenset(
            stored.key
            for stored in self._store.values()
            if isinstance(stored.parsed, LoadBalancer) and stored.parsed.spec.dataplane.local_addresses_ipv6
        )

    def claimed(self) -> dict[IPAddress, Key]:
        """Every address that one of them claims for itself."""
        return {
            address: stored.key
            for stored in self._store.values()
            for address in stored.addresses | stored.gateways
        }

    def invalidate(self, key: Key) -> None:
        """Have the object read again before it is next used."""
        self._stale.add(key)

    async def read(self, key: Key) -> Stored | None:
        """Return the object, or None if there is none. Raises ApiError if it had to be read and could not be."""
        if key in self._stale:
            self._stale.discard(key)
            try:
                self.keep(await self._client.request("GET", LOAD_BALANCER.path(key)))
            except ApiNotFoundError:
                self._drop(key)
            except BaseException:
                self._stale.add(key)
                raise
        return self._store.get(key)

    def keep(self, body: Json) -> Stored | None:
        """Remember an answer of the API server; returns what is known then.

        Answers may come late: one that is older than what is known changes nothing, nor does one that speaks of an
        object which has been found deleted since. resourceVersions of one kind are ordered (KEP-5504).
        """
        stored = stored_from(body)
        known = self._store.get(stored.key)
        if stored.uid in self._deleted or (known and known.version > stored.version):
            return known
        self._tell(stored.key, self._store.put(stored.key, stored), stored)
        return stored

    async def refresh(self) -> set[Key]:
        """List all; returns the keys of those that are new, differ or have vanished. Raises ApiError."""
        changed: set[Key] = set()
        for namespace in self._namespaces:
            bodies, version = await self._listed(namespace)
            before = {key: self._store.get(key) for key in self._store}
            listed = {stored.key for stored in map(self.keep, bodies) if stored is not None}
            changed |= {key for key in listed if self._store.get(key) != before.get(key)}
            for key, stored in before.items():
                in_scope = not namespace or key.namespace == namespace
                if stored and in_scope and key not in listed and stored.version <= version:
                    self._drop(key)
                    changed.add(key)
        return changed

    async def _listed(self, namespace: str) -> tuple[list[Json], int]:
        """All objects, and the version of the state that they are."""
        bodies: list[Json] = []
        version = 0
        async for page in self._client.pages(LOAD_BALANCER.collection_path(namespace)):
            bodies += page["items"]
            version = int(page["metadata"]["resourceVersion"])
        return bodies, version

    def _drop(self, key: Key) -> None:
        before = self._store.drop(key)
        if before is not None:
            self._deleted.append(before.uid)
            self._tell(key, before, None)

    def _tell(self, key: Key, before: Stored | None, after: Stored | None) -> None:
        if _offer(before) != _offer(after):
            self._offered(key)
        claims = [one.claims if one else None for one in (before, after)]
        if claims[0] == claims[1]:
            return
        for rival in {rival.key for one in (before, after) if one for rival in self.sharing_addresses(one)}:
            self._contested(rival)

    def using_service(self, service: Key) -> list[Key]:
        """Those that refer to the Service."""
        return self._store.keys_by("service", service)

    def using_attachment(self, attachment: Key) -> list[Key]:
        """Those that refer to the NetworkAttachmentDefinition."""
        return self._store.keys_by("attachment", attachment)

    def using_bgp_peer(self, peer: Key) -> list[Key]:
        """Those that announce to the BGPPeer."""
        return self._store.keys_by("bgp_peer", peer)

    def unplaced(self) -> list[Key]:
        """Those whose pods did not fit on the nodes when last looked at."""
        return self._store.keys_by("unplaced", True)  # noqa: FBT003 - the value under which they are indexed

    def claiming(self, address: IPAddress) -> list[Key]:
        """Those that claim the address."""
        return self._store.keys_by("address", address)

    def sharing_addresses(self, stored: Stored) -> list[Stored]:
        """The others that claim an address which this one claims too."""
        keys = {key for address in stored.addresses for key in self._store.keys_by("address", address)}
        others = [self._store.get(key) for key in sorted(keys - {stored.key})]
        return [other for other in others if other is not None]
