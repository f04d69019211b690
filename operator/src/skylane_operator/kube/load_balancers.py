"""The LoadBalancers as they are stored, with indexes that say whom a change of something else concerns.

Kopf watches them and wakes us; what an event carries is not kept. A key that was woken is read again when it is reconciled, and
all are listed again every minute: Kopf never tells of an object that was deleted while its own watch was down.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from skylane_operator.errors import ApiNotFoundError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import LOAD_BALANCER
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.plan import Claims, Rejected, claims_for, load_balancer_from

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A LoadBalancer, or what is wrong with it; and its status as the API server gave it."""

    key: Key
    uid: str
    generation: int
    status: Json
    parsed: LoadBalancer | tuple[Rejected, ...]
    claims: Claims | None

    @property
    def addresses(self) -> frozenset[IPv4Address]:
        """All that it claims."""
        return self.claims.vips | self.claims.pod_addresses if self.claims else frozenset()

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
        status=body.get("status") or {},
        parsed=parsed,
        claims=claims_for(parsed) if isinstance(parsed, LoadBalancer) else None,
    )


def _services(stored: Stored) -> Iterator[Hashable]:
    if isinstance(stored.parsed, LoadBalancer):
        for listener in stored.parsed.spec.listeners:
            for backend in listener.backends:
                yield Key(stored.key.namespace, backend.service)


def _attachments(stored: Stored) -> Iterator[Hashable]:
    if isinstance(stored.parsed, LoadBalancer):
        for network in stored.parsed.spec.dataplane.networks:
            yield network.attachment_key(stored.key.namespace)


class LoadBalancers:
    """All of them; see the module.

    `contested` is told of every other LoadBalancer that claims an address which one has begun or ceased to claim.
    """

    def __init__(
        self, client: KubeClient, namespaces: tuple[str, ...], contested: Callable[[Key], None]
    ) -> None:
        self._client, self._namespaces, self._contested = client, namespaces or ("",), contested
        self._stale: set[Key] = set()
        self._store: Store[Stored] = Store(
            {
                "service": _services,
                "attachment": _attachments,
                "address": lambda stored: stored.addresses,
                "unplaced": lambda stored: () if stored.placed else (True,),
            }
        )

    def all(self) -> list[Key]:
        """All there are."""
        return sorted(self._store)

    def invalidate(self, key: Key) -> None:
        """Have the object read again before it is next used."""
        self._stale.add(key)

    async def read(self, key: Key) -> Stored | None:
        """The object, or None if there is none. Raises ApiError if it had to be read and could not be."""
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

    def keep(self, body: Json) -> Stored:
        """Remember an answer of the API server."""
        stored = stored_from(body)
        self._put(stored)
        return stored

    def _put(self, stored: Stored) -> None:
        self._tell_rivals(self._store.put(stored.key, stored), stored)

    def _drop(self, key: Key) -> None:
        self._tell_rivals(self._store.drop(key), None)

    def _tell_rivals(self, before: Stored | None, after: Stored | None) -> None:
        claims = [one.claims if one else None for one in (before, after)]
        if claims[0] == claims[1]:
            return
        for rival in {rival.key for one in (before, after) if one for rival in self.sharing_addresses(one)}:
            self._contested(rival)

    async def refresh(self) -> set[Key]:
        """List all; returns the keys of those that are new, differ or have vanished. Raises ApiError."""
        before = {key: self._store.get(key) for key in self._store}
        now = [stored_from(body) for namespace in self._namespaces for body in await self._listed(namespace)]
        for stored in now:
            self._put(stored)
        changed = {stored.key for stored in now if before.pop(stored.key, None) != stored}
        for key in before:
            self._drop(key)
        return changed | set(before)

    async def _listed(self, namespace: str) -> list[Json]:
        pages = self._client.pages(LOAD_BALANCER.collection_path(namespace))
        return [body async for page in pages for body in page["items"]]

    def using_service(self, service: Key) -> list[Key]:
        """Those that refer to the Service."""
        return self._store.keys_by("service", service)

    def using_attachment(self, attachment: Key) -> list[Key]:
        """Those that refer to the NetworkAttachmentDefinition."""
        return self._store.keys_by("attachment", attachment)

    def unplaced(self) -> list[Key]:
        """Those whose pods did not fit on the nodes when last looked at."""
        return self._store.keys_by("unplaced", True)  # noqa: FBT003 - the value under which they are indexed

    def sharing_addresses(self, stored: Stored) -> list[Stored]:
        """The others that claim an address which this one claims too."""
        keys = {key for address in stored.addresses for key in self._store.keys_by("address", address)}
        others = [self._store.get(key) for key in sorted(keys - {stored.key})]
        return [other for other in others if other is not None]
