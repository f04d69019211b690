"""Real servers to be probed, and checks of them that are faster than a user's."""

import asyncio
import contextlib
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from agent_operator import Authority
from aiohttp import web

from skylane_agent.health.check import Check, Endpoint, Target
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

HOST = "127.0.0.1"
NAME = "web.example"


@contextlib.contextmanager
def local_address() -> Iterator[str]:
    """An address of this machine for the length of a test: the forwarder takes no backend on 127.0.0.0/8."""
    number = uuid.uuid4().int
    address = f"198.18.{number >> 8 & 255}.{1 + number % 250}"  # RFC 2544
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield address
    finally:
        subprocess.run(["ip", "address", "delete", f"{address}/32", "dev", "lo"], check=True)


class Web:
    """A web server whose answers the test decides. `seen` holds the requests."""

    def __init__(self, host: str = HOST) -> None:
        self._host = host
        self.status = 200
        self.seen: list[web.Request] = []
        self.endpoint = Endpoint(host, 0)

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        return web.Response(status=self.status, text="x" * 100_000)

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Endpoint]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, self._host, port, ssl_context=tls)
        await site.start()
        self.endpoint = Endpoint(*runner.addresses[0][:2])
        try:
            yield self.endpoint
        finally:
            await runner.cleanup()


def tls_of(folder: Path, authority: Authority, name: str = NAME) -> ssl.SSLContext:
    """What a server with a certificate of the authority has."""
    key, certificate = authority.issued(name)
    (folder / "both.pem").write_bytes(key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@contextlib.asynccontextmanager
async def tcp_server(talk) -> AsyncIterator[Endpoint]:
    """`talk` gets the reader and the writer of each connection."""
    server = await asyncio.start_server(talk, HOST)
    try:
        yield Endpoint(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()


async def unused(host: str = HOST) -> Endpoint:
    """An endpoint at which nobody listens."""
    server = await asyncio.start_server(lambda _reader, _writer: None, host)
    async with server:
        return Endpoint(*server.sockets[0].getsockname()[:2])


def check(kind: str, **changes) -> Check:
    given = {
        "type": kind,
        "interval_ms": 30,
        "timeout_ms": 2000,
        "healthy_threshold": 2,
        "unhealthy_threshold": 2,
    }
    return Check.model_validate(given | changes)


def target(endpoint: Endpoint, kind: str, **changes) -> Target:
    return Target(endpoint, check(kind, **changes))


def check_message(kind: str = "http", *, panic: int = 0, **changes) -> pb.HealthCheck:
    given = {
        "type": kind,
        "interval_ms": 30,
        "timeout_ms": 2000,
        "healthy_threshold": 2,
        "unhealthy_threshold": 2,
        "panic_threshold_percent": panic,
    }
    if kind == "http":
        given["http"] = {"path": "/healthz", "host": "", "expected_statuses": ["200-399"]}
    return pb.HealthCheck(**given | changes)
