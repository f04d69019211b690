"""Writes status: only what differs, merged, and not more often than a reader can follow.

An endpoint change is acknowledged within milliseconds: what holds only in between is not worth two writes, so a
change waits a moment, and only what holds then is written.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from skylane_operator.errors import ApiError, ApiNotFoundError
from skylane_operator.kube.client import APPLY, KubeClient
from skylane_operator.kube.events import EventWriter
from skylane_operator.kube.load_balancers import LoadBalancers, Stored
from skylane_operator.kube.resource import LOAD_BALANCER
from skylane_operator.model.key import Key

Json = dict[str, Any]

FIELD_MANAGER = "skylane-operator-status"
SETTLE_S = 0.2  # from a change until it is written
INTERVAL_S = 1.0  # between two writes of one object

_log = logging.getLogger(__name__)


class StatusWriter:
    """`failed` is called with the key of an object whose status could not be written, to have it reconciled again."""

    def __init__(
        self,
        client: KubeClient,
        load_balancers: LoadBalancers,
        events: EventWriter,
        failed: Callable[[Key], None],
    ) -> None:
        self._client, self._load_balancers = client, load_balancers
        self._events, self._failed = events, failed
        self._wanted: dict[Key, tuple[Stored, Json]] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self.writes = 0

    def write(self, stored: Stored, status: Json) -> None:
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
        try:
            await asyncio.sleep(SETTLE_S)
            while key in self._wanted:
                stored, status = self._wanted.pop(key)
                await self._patch(stored, status)
                await asyncio.sleep(INTERVAL_S)
        except ApiNotFoundError:
            _log.debug("%s is gone, so is its status", key)
        except ApiError as error:
            _log.warning("status of %s: %s", key, error)
            self._failed(key)
        finally:
            del self._tasks[key]

    async def _patch(self, stored: Stored, status: Json) -> None:
        metadata = {"name": stored.key.name, "namespace": stored.key.namespace, "uid": stored.uid}
        body = await self._client.request(
            "PATCH",
            f"{LOAD_BALANCER.path(stored.key)}/status",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body={
                "apiVersion": LOAD_BALANCER.group_version,
                "kind": LOAD_BALANCER.kind,
                "metadata": metadata,
                "status": status,
            },
            content_type=APPLY,
        )
        self.writes += 1
        self._load_balancers.keep(body)
        await self._events.report(stored, status)
