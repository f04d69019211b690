"""Keeps a store equal to what the API server holds.

A paged list replaces the store (what vanished meanwhile is dropped and reported, as if its deletion had been seen), then a
watch follows from there. A broken watch goes on where it was; one that is too old (410) starts over with a list.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from skylane_operator.backoff import delays
from skylane_operator.errors import ApiError, ApiExpiredError, ApiNotFoundError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import Resource
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key

T = TypeVar("T")
Json = dict[str, Any]

# The server ends a watch after this time; spread, so that not all are opened again at once. Short, because an idle kind may
# get no bookmarks (etcd 3.4 reports no progress): only the end of the watch then shows that somebody is there.
WATCH_LEAST_S, WATCH_MOST_S = 40, 60
# A kind whose CRD is absent is asked for again this often.
ABSENT_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


# Told of every change of an object, once it is in the store: its key, what it was (None: it is new), what it is
# (None: it is gone).
Changed = Callable[[Key, T | None, T | None], None]


class Reflector(Generic[T]):
    """One kind, in one namespace or in all (`namespace` empty), optionally selected by labels on the server.

    `parse` may raise ValueError: an object that cannot be read is left out, reported in the log, and disturbs nothing else.
    """

    def __init__(  # noqa: PLR0913 - one of each: where from, what, how, where to, whom to tell
        self,
        client: KubeClient,
        resource: Resource,
        parse: Callable[[Json], T],
        store: Store[T],
        changed: Changed[T],
        *,
        namespace: str = "",
        label_selector: str = "",
    ) -> None:
        self._versions = deque(resource.versions())
        self._unknown = 0  # of the versions: so many are not served, as far as was asked
        self.resource = resource  # in the version that was served last
        self.store = store
        self.synced = asyncio.Event()  # the first list is in the store, or the kind does not exist
        self.following = asyncio.Event()  # a watch is open, or nothing is there to watch
        self.absent = False  # the API server does not know the kind
        self.last_contact = time.monotonic()  # the API server was heard
        self.last_turn = time.monotonic()  # `run` did anything at all
        self.relists = 0
        self._client, self._parse, self._changed = client, parse, changed
        self._namespace = namespace
        self._query = {"labelSelector": label_selector} if label_selector else {}
        self._resource_version = ""
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        waits = delays()
        while True:
            self.last_turn = time.monotonic()
            try:
                if not self._resource_version:
                    await self._list()
                await self._watch()
                waits = delays()
            except ApiExpiredError as expired:
                _log.info("%s: listing again: %s", self.resource.plural, expired)
                self._resource_version = ""
                waits = await self._pause(waits)
            except ApiNotFoundError:
                if not self._other_version():
                    self._forget_kind()
                    await asyncio.sleep(ABSENT_PAUSE_S)
            except ApiError as error:
                _log.warning("%s: %s", self.resource.plural, error)
                waits = await self._pause(waits)

    async def catch_up(self) -> None:
        """Wait until the watch is open. If it has failed, all is listed anew, and at once: what was missed is known then."""
        if not self.following.is_set():
            self._resource_version = ""
            self._hurry.set()
        await self.following.wait()

    def _opened(self) -> None:
        if not self._resource_version:
            raise ApiExpiredError(f"{self.resource.plural}: to be listed first")
        self.following.set()

    async def _pause(self, waits: Iterator[float]) -> Iterator[float]:
        """Wait before the next attempt; returns the waiting times to go on with, short ones again when somebody waits."""
        self.following.clear()
        try:
            await asyncio.wait_for(self._hurry.wait(), next(waits))
        except TimeoutError:
            return waits
        self._hurry.clear()
        return delays()

    async def _list(self) -> None:
        seen: set[Key] = set()
        version = ""
        async for page in self._client.pages(self._path(), self._query):
            self.last_contact = time.monotonic()
            for item in page["items"] or ():
                seen.add(_key_of(item))
                self._put(item)
            version = page["metadata"]["resourceVersion"]
        for key in [key for key in self.store if key not in seen and self._covers(key)]:
            self._drop(key)
        self._resource_version = version
        self.absent, self._unknown = False, 0
        self.relists += 1
        self.synced.set()

    async def _watch(self) -> None:
        query = {
            **self._query,
            "resourceVersion": self._resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(WATCH_LEAST_S, WATCH_MOST_S)),  # noqa: S311 - jitter
        }
        async for event in self._client.watch(self._path(), query, self._opened):
            self.last_contact = time.monotonic()
            item = event["object"]
            if event["type"] == "DELETED":
                self._drop(_key_of(item))
            elif event["type"] != "BOOKMARK":
                self._put(item)
            self._resource_version = item["metadata"]["resourceVersion"]
        self.last_contact = time.monotonic()

    def _path(self) -> str:
        return self.resource.collection_path(self._namespace)

    def _other_version(self) -> bool:
        """Turn to the next version of the kind; False when all have been asked for in vain."""
        self._resource_version = ""
        self._versions.rotate(-1)
        self.resource = self._versions[0]
        self._unknown += 1
        return self._unknown < len(self._versions)

    def _covers(self, key: Key) -> bool:
        return not self._namespace or key.namespace == self._namespace

    def _put(self, item: Json) -> None:
        key = _key_of(item)
        try:
            new = self._parse(item)
        except ValueError as error:
            _log.error("%s %s cannot be read and is left out: %s", self.resource.kind, key, error)
            self._drop(key)
            return
        if new != self.store.get(key):
            self._changed(key, self.store.put(key, new), new)

    def _drop(self, key: Key) -> None:
        old = self.store.drop(key)
        if old is not None:
            self._changed(key, old, None)

    def _forget_kind(self) -> None:
        if not self.absent:
            level = logging.INFO if self.resource.optional else logging.WARNING
            _log.log(level, "the API server does not know %s", self.resource.plural)
        self.absent, self._unknown = True, 0
        self.last_contact = time.monotonic()
        self._resource_version = ""
        for key in [key for key in self.store if self._covers(key)]:
            self._drop(key)
        self.synced.set()
        self.following.set()


def _key_of(item: Json) -> Key:
    metadata = item["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])
