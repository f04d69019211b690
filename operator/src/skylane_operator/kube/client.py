"""The connection to the API server.

`kubernetes.aio` brings what is hard to get right: kubeconfig, exec plugins, in-cluster tokens that change, TLS. Its
generated models and its watch are not used: they build every object twice, and lose the state of a watch on a 410.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from skylane_operator.errors import ApiUnavailableError, SettingsError
from skylane_operator.kube.faults import error_for, translated

JSON = "application/json"
APPLY = "application/apply-patch+yaml"

REQUEST_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 5
# The server ends every watch within a minute: one that is silent for longer is dead, whatever TCP believes.
WATCH_SILENCE_S = 75
MAX_CONNECTIONS = 64
PAGE_SIZE = 500
# etcd refuses objects beyond 1.5 MiB; JSON of the same object may be a few times as long.
MAX_EVENT_BYTES = 16 << 20

Json = dict[str, Any]


class KubeClient:
    """JSON requests and watches. Raises ApiError and its kinds, nothing else.

    `may_write` is asked before each write: who leads no longer, and has not noticed yet, writes nothing.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.may_write: Callable[[], bool] = lambda: True
        configuration.connection_pool_maxsize = MAX_CONNECTIONS
        self.configuration = configuration
        self._rest = RESTClientObject(configuration)

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None) -> Self:
        """A client for a kubeconfig, or for the pod's own ServiceAccount. Raises SettingsError."""
        configuration = Configuration()
        try:
            if kubeconfig is None:
                config.load_incluster_config(configuration)
            else:
                await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            source = "the pod's ServiceAccount" if kubeconfig is None else str(kubeconfig)
            raise SettingsError(f"no access to a cluster through {source}: {error}") from error
        return cls(configuration)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._rest.close()

    async def authorization(self) -> str | None:
        """The Authorization header as it is valid now; None with client certificates."""
        settings = await self.configuration.auth_settings()
        return settings["BearerToken"]["value"] if "BearerToken" in settings else None

    @translated
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = JSON,
    ) -> Json:
        """One request and its answer."""
        if method != "GET" and not self.may_write():
            raise ApiUnavailableError(f"{method} {path}: not sent, for somebody else may lead by now")
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        response = await self._send(method, path, query, body, content_type, timeout)
        async with response:
            return _decoded(await response.read())

    async def pages(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[Json]:
        """A list, page by page; the last page carries the resourceVersion that holds for all."""
        query = {**(query or {}), "limit": str(PAGE_SIZE)}
        while True:
            page = await self.request("GET", path, query=query)
            yield page
            if not (following := page["metadata"].get("continue")):
                return
            query["continue"] = following

    async def watch(
        self, path: str, query: Mapping[str, str], opened: Callable[[], object] = lambda: None
    ) -> AsyncIterator[Json]:
        """Events of a watch until the server ends it. An ERROR event is raised as what its code says.

        `opened` is called once the server has agreed to it.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=WATCH_SILENCE_S)
        response = await self._open_watch(path, {**query, "watch": "true"}, timeout)
        async with response:
            opened()
            while line := await _line(response.content):
                event = _decoded(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise error_for(status.get("code", 500), f"watch {path}", status.get("message", ""))
                yield event

    @translated
    async def _open_watch(
        self, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        return await self._send("GET", path, query, None, JSON, limits)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Json | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Content-Type": content_type, "Accept": JSON}
        if authorization := await self.authorization():
            headers["Authorization"] = authorization
        url = f"{self.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        answer = await self._rest.request(method, url, headers=headers, body=body, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        if response.status >= 400:
            async with response:
                text = await response.text()
            raise error_for(response.status, f"{method} {path}", _message(text))
        return response


@translated
async def _line(stream: aiohttp.StreamReader) -> bytes:
    return await stream.readuntil(b"\n", max_size=MAX_EVENT_BYTES)


def _decoded(text: bytes) -> Json:
    try:
        decoded = json.loads(text)
    except ValueError as error:
        raise ApiUnavailableError(f"an answer that is no JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise ApiUnavailableError(f"an answer that is no object: {text[:80]!r}")
    return decoded


def _message(text: str) -> str:
    try:
        status = json.loads(text)
    except ValueError:
        return text
    return str(status.get("message", text)) if isinstance(status, dict) else text
