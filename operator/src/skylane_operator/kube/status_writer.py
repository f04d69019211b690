"""Writes status: only what differs, merged, and not more often than a reader can follow.

An endpoint change is acknowledged within milliseconds: what holds only in between is not worth two writes, so a
change waits a moment, and only what holds then is written.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from skylane_operator.backoff import delays
from skylane_operator.errors import ApiConflictError, ApiError, ApiNotFoundError
from skylane_operator.kube.client import APPLY, KubeClient
from skylane_operator.kube.events import EventWriter, Subject
from skylane_operator.kube.resource import Resource
from skylane_operator.kube.subjects import SharedSubject
from skylane_operator.model.key import Key

Json = dict[str, Any]

FIELD_MANAGER = "skylane-operator-status"
SETTLE_S = 0.2  # from a change until it is written
INTERVAL_S = 1.0  # between two writes of one object

_log = logging.getLogger(__name__)


class StatusWriter:
    """Writes the status of one kind, with one task an object that has something to write; see the module.

    `written` is told what the API server made of each write.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        events: EventWriter,
        written: Callable[[Json], object] = lambda _: None,
    ) -> None:
        self._client, self._resource, self._events, self._written = client, resource, events, written
        self._wanted: dict[Key, tuple[Subject, Json]] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self.writes = 0

    def __len__(self) -> int:
        """Objects that have something to write, or had a moment ago."""
        return len(self._tasks)

    def write(self, stored: Subject, status: Json) -> None:
        """Have the status become this, unless something newer replaces it first."""
        if status == stored.status:
            self._wanted.pop(stored.key, None)
            return
        self._wanted[stored.key] = (stored, status)
        if stored.key not in self._tasks:
            task = asyncio.create_task(self._flush(stored.key), name=f"status of {stored.key}")
            self._tasks[stored.key] = task

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._wanted.pop(key, None)

    async def aclose(self) -> None:
        """Stop; what is not written yet is computed again at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _flush(self, key: Key) -> None:
        waits = delays()
        try:
            await asyncio.sleep(SETTLE_S)
            while key in self._wanted:
                pause_s = await self._attempt(key, waits)
                await asyncio.sleep(pause_s)
        finally:
            del self._tasks[key]

    async def _attempt(self, key: Key, waits: Iterator[float]) -> float:
        """Write what is wanted now; seconds until the next write of the object."""
        stored, status = self._wanted.pop(key)
        try:
            await self._patch(stored, status)
        except (ApiNotFoundError, ApiConflictError):
            _log.debug(
                "%s is gone, another object bears its name, or it has just changed and comes again", key
            )
        except ApiError as error:
            _log.warning("status of %s: %s", key, error)
            self._wanted.setdefault(key, (stored, status))  # unless something newer is there by now
            return next(waits)
        return INTERVAL_S

    async def _patch(self, stored: Subject, status: Json) -> None:
        metadata = {"name": stored.key.name, "uid": stored.uid}
        if self._resource.namespaced:
            metadata["namespace"] = stored.key.namespace
        if isinstance(stored, SharedSubject) and stored.resource_version:
            metadata["resourceVersion"] = stored.resource_version
        body = await self._client.request(
            "PATCH",
            f"{self._resource.path(stored.key)}/status",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body={
                "apiVersion": self._resource.group_version,
                "kind": self._resource.kind,
                "metadata": metadata,
                "status": status,
            },
            content_type=APPLY,
        )
        self.writes += 1
        self._written(body)
        await self._events.report(self._resource, stored, status)
