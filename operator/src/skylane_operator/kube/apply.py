"""Server-side apply and prune of what a LoadBalancer needs, and nothing when it is there already."""

import logging
from typing import Any

from skylane_operator.errors import ApiNotFoundError, ForeignObjectError
from skylane_operator.kube.client import APPLY, KubeClient
from skylane_operator.kube.owned import Owned, digest, owned_from
from skylane_operator.kube.resource import DNS_ENDPOINT, OWNED, Resource
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key

Json = dict[str, Any]

FIELD_MANAGER = "skylane-operator"

_log = logging.getLogger(__name__)
_BY_KIND = {resource.kind: resource for resource in (*OWNED, DNS_ENDPOINT)}


class Applier:
    """Applies objects and remembers what came of it, so that an unchanged object costs no request.

    `stores` (by kind) are kept by reflectors; an object that somebody else changed no longer has the fingerprint that our
    apply left, and is applied again.
    """

    def __init__(self, client: KubeClient, stores: dict[str, Store[Owned]]) -> None:
        self._client, self._stores = client, stores
        self._applied: dict[tuple[str, Key], tuple[str, str]] = {}  # to digest of ours, fingerprint of theirs

    async def apply(self, objects: list[Json]) -> None:
        """Make the objects what they shall be. Raises ApiError; ForeignObjectError before anything of others is touched."""
        for body in objects:
            resource, key = _BY_KIND[body["kind"]], _key_of(body)
            wanted = digest(body)
            live = self._stores[resource.kind].get(key)
            if live is None:
                await self._refuse_foreign(resource, key, body["metadata"]["ownerReferences"][0]["uid"])
            if live is None or self._applied.get((resource.kind, key)) != (wanted, live.fingerprint):
                result = owned_from(await self._patch(resource, key, body))
                self._applied[resource.kind, key] = (wanted, result.fingerprint)
                _log.info("applied %s %s", resource.kind, key)

    async def prune(self, owner: Key, owner_uid: str, objects: list[Json]) -> None:
        """Delete what we made for the owner earlier and do not make now. Raises ApiError."""
        kept = {(body["kind"], _key_of(body)) for body in objects}
        for resource in OWNED:
            store = self._stores[resource.kind]
            for key in store.keys_by("load_balancer", owner):
                live = store.get(key)
                if live is not None and live.owner_uid == owner_uid and (resource.kind, key) not in kept:
                    await self._delete(resource, key, live.uid)

    def has_seen(self, kind: str, key: Key) -> bool:
        """Whether the store has the object as our last apply left it: before that, what it says may be of the one before."""
        live = self._stores[kind].get(key)
        applied = self._applied.get((kind, key))
        return live is not None and applied is not None and applied[1] == live.fingerprint

    def forget(self, owner: Key) -> None:
        """The owner is gone; the garbage collector removes its objects."""
        for kind, store in self._stores.items():
            for key in store.keys_by("load_balancer", owner):
                self._applied.pop((kind, key), None)

    async def _refuse_foreign(self, resource: Resource, key: Key, owner_uid: str) -> None:
        """Before an object is made: forced apply would take over whatever bears the name."""
        try:
            there = owned_from(await self._client.request("GET", resource.path(key)))
        except ApiNotFoundError:
            return
        if there.owner_uid != owner_uid:
            raise ForeignObjectError(
                f"{resource.kind} {key} exists and is not of this LoadBalancer; rename or delete it, or give the "
                "LoadBalancer another name"
            )

    async def _patch(self, resource: Resource, key: Key, body: Json) -> Json:
        # Every field of these objects that we name is ours: force takes it back from whoever changed it.
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._client.request(
            "PATCH", resource.path(key), query=query, body=body, content_type=APPLY
        )

    async def _delete(self, resource: Resource, key: Key, uid: str) -> None:
        self._applied.pop((resource.kind, key), None)
        await delete(self._client, resource, key, uid)


async def delete(client: KubeClient, resource: Resource, key: Key, uid: str) -> None:
    """Delete exactly this object, not one of the same name that was made meanwhile. Raises ApiError.

    Raises ApiConflictError if another one bears the name; nothing if it is gone already.
    """
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
    try:
        await client.request("DELETE", resource.path(key), body=body)
    except ApiNotFoundError:
        return
    _log.info("deleted %s %s", resource.kind, key)


def _key_of(body: Json) -> Key:
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])
