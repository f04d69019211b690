"""The operator's own TLS material, kept in a Secret so that restarts do not change it.

Made by whoever comes first: a create that loses the race takes what the winner made, an update names the resourceVersion
that it was decided on.
"""

import base64
import logging
from collections.abc import Callable
from typing import Any

from skylane_operator.errors import ApiConflictError, ApiNotFoundError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import SECRET
from skylane_operator.model.key import Key

Json = dict[str, Any]
Files = dict[str, bytes]

_MAX_RACES = 5

_log = logging.getLogger(__name__)


Renew = Callable[[Files | None], Files]


async def ensure_secret(client: KubeClient, key: Key, renew: Renew) -> Files:
    """The files of the Secret, created or renewed if need be.

    `renew` gets the files there are (None if there is no Secret) and returns what they shall be: the same if they are good.
    Raises ApiError.
    """
    for _ in range(_MAX_RACES):
        current = await _read(client, key)
        files = None if current is None else _files_in(current)
        wanted = renew(files)
        if wanted == files:
            return wanted
        try:
            await _write(client, key, current, wanted)
        except ApiConflictError:
            continue  # somebody was faster: take what is there now
        _log.info("wrote TLS material to Secret %s", key)
        return wanted
    raise ApiConflictError(f"Secret {key} is changed by somebody else all the time", 409)


async def _read(client: KubeClient, key: Key) -> Json | None:
    try:
        return await client.request("GET", SECRET.path(key))
    except ApiNotFoundError:
        return None


async def _write(client: KubeClient, key: Key, current: Json | None, files: Files) -> None:
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    metadata: Json = {"name": key.name, "namespace": key.namespace}
    body: Json = {
        "apiVersion": "v1",
        "kind": SECRET.kind,
        "type": "Opaque",
        "metadata": metadata,
        "data": data,
    }
    if current is None:
        await client.request("POST", SECRET.collection_path(key.namespace), body=body)
        return
    body["metadata"] = {**current["metadata"]}  # with its resourceVersion: refused if it changed meanwhile
    body["type"] = current["type"]
    await client.request("PUT", SECRET.path(key), body=body)


def _files_in(secret: Json) -> Files:
    return {name: base64.b64decode(content) for name, content in (secret.get("data") or {}).items()}
