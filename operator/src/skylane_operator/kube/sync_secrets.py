"""The Secrets with the keys of session sync. The operator makes them and cannot read them: it has the verb create, and no other.

So it cannot know whether one is there but by making it. It tries before pods are made that mount it, and again now and then:
one that somebody deleted, to have another key, is then made anew.
"""

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from skylane_operator.errors import ApiConflictError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import SECRET
from skylane_operator.model.key import Key

Json = dict[str, Any]

KEY_BYTES = 16
AGAIN_S = 60.0
# A pod that is Pending may be so because the Secret is missing: that of an earlier LoadBalancer of this name was collected.
AWAITED_S = 5.0

_log = logging.getLogger(__name__)


class SyncSecrets:
    """When each was last tried to be made, by LoadBalancer; `uid` is that of the LoadBalancer."""

    def __init__(
        self,
        client: KubeClient,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._client, self._clock, self._chance = client, clock, chance
        self._tried: dict[Key, tuple[str, float]] = {}

    async def ensure(
        self, owner: Key, uid: str, secret_of: Callable[[bytes], Json | None], *, awaited: bool
    ) -> float | None:
        """Have the Secret of the owner there, made by `secret_of` a key (None: it needs none); seconds until to do so again.

        `awaited`: a pod may be waiting for it. Raises ApiError if it could not be made.
        """
        body = secret_of(self._chance(KEY_BYTES))
        if body is None:
            self.forget(owner)
            return None
        pause_s = AWAITED_S if awaited else AGAIN_S
        tried_uid, tried_s = self._tried.get(owner, ("", 0.0))
        waits_s = tried_s + pause_s - self._clock()
        if tried_uid == uid and waits_s > 0:
            return waits_s
        await self._create(owner.namespace, body)
        self._tried[owner] = (uid, self._clock())
        return pause_s

    def forget(self, owner: Key) -> None:
        """The owner is gone, and the garbage collector removes its Secret; or it needs none."""
        self._tried.pop(owner, None)

    async def _create(self, namespace: str, body: Json) -> None:
        try:
            await self._client.request("POST", SECRET.collection_path(namespace), body=body)
        except ApiConflictError:
            return  # it is there
        _log.info("created Secret %s/%s", namespace, body["metadata"]["name"])
