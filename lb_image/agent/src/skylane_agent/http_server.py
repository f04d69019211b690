"""A small HTTP/1.1 server for probes and metrics: GET and HEAD, one request a connection, all bounded."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

log = logging.getLogger(__name__)

_HEAD_MAX_BYTES = 8192
_REQUEST_TIMEOUT_S = 10.0
_CONNECTIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class Response:
    """What a page answers."""

    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Awaitable[Response]]]


class HttpServer:
    """Serves `pages` by path."""

    def __init__(self, pages: Pages, port: int) -> None:
        self._pages = pages
        self._requested_port = port
        self._connections = 0
        self.port = 0  # that it listens on, once `serve` has started
        self.listening = asyncio.Event()

    async def serve(self) -> None:
        """Serve until cancelled. Raises OSError if the port cannot be had."""
        server = await asyncio.start_server(
            self._connection, sock=_listening_socket(self._requested_port), limit=_HEAD_MAX_BYTES
        )
        try:
            self.port = server.sockets[0].getsockname()[1]
            self.listening.set()
            await server.serve_forever()
        finally:
            server.close()  # without waiting for slow clients

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _CONNECTIONS_MAX:
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    await self._answer(reader, writer)
        except (OSError, TimeoutError) as error:
            log.debug("http connection: %s", error)
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, response = await self._response(reader)
        body = response.body.encode()
        head = (
            f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
            f"Content-Type: {response.content_type}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + (b"" if method == "HEAD" else body))
        await writer.drain()

    async def _response(self, reader: asyncio.StreamReader) -> tuple[str, Response]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        except asyncio.LimitOverrunError:
            return "GET", Response(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request header is too large\n"
            )
        except (asyncio.IncompleteReadError, ValueError):
            return "GET", Response(HTTPStatus.BAD_REQUEST, "not an HTTP request\n")
        page = self._pages.get(target.partition("?")[0])
        if not version.startswith("HTTP/1."):
            return method, Response(HTTPStatus.BAD_REQUEST, "HTTP/1.1 is spoken here\n")
        if method not in {"GET", "HEAD"}:
            return method, Response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        if page is None:
            return method, Response(HTTPStatus.NOT_FOUND, f"pages: {' '.join(self._pages)}\n")
        return method, await page()


def _listening_socket(port: int) -> socket.socket:
    """One socket for both IP versions: two would get different ports when any free one is asked for."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
