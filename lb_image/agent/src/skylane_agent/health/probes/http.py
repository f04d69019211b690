"""HTTP and HTTPS: a GET has an expected status. HTTP/1.1, a connection a probe, no redirects, no proxy; the body is not read."""

import asyncio
import ssl
from functools import lru_cache

from skylane_agent.errors import ProbeFailedError, ProbeNotMadeError
from skylane_agent.health.check import Target, TlsPart

_LINE_MAX_BYTES = 8192
_LINES_MAX = 100  # of one interim response


async def probe_http(target: Target) -> None:
    """Raises ProbeFailedError, ProbeNotMadeError or OSError."""
    check, tls = target.check.http, target.check.tls
    secure = target.check.type == "https"
    if secure and tls is None:
        raise ProbeNotMadeError("the check does not say how to verify the certificate")
    context = _context(tls) if secure and tls else None
    name = (tls.server_name if tls else "") or target.endpoint.address
    status = await _status_of(target, context, name)
    if not check.expects(status):
        raise ProbeFailedError(f"HTTP status {status}")


async def _status_of(target: Target, context: ssl.SSLContext | None, server_name: str) -> int:
    try:
        reader, writer = await asyncio.open_connection(
            target.endpoint.address,
            target.endpoint.port,
            ssl=context,
            server_hostname=server_name if context else None,
            limit=_LINE_MAX_BYTES,
        )
    except ssl.SSLCertVerificationError as error:
        raise ProbeFailedError(f"certificate: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise ProbeFailedError(f"TLS: {error.reason or error}") from error
    try:
        writer.write(_request(target))
        return await _final_status(reader)
    finally:
        writer.transport.abort()  # a farewell of TLS would be waited for


def _request(target: Target) -> bytes:
    check = target.check.http
    lines = (
        f"GET {check.path} HTTP/1.1",
        f"Host: {check.host or target.endpoint}",
        "User-Agent: skylane-health",
        "Accept: */*",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _final_status(reader: asyncio.StreamReader) -> int:
    while True:
        status = _status_in(await _line(reader))
        if status >= 200:
            return status
        # An interim response (1xx) is a head without a body, and another response follows.
        for _ in range(_LINES_MAX):
            if not (await _line(reader)).strip():
                break


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ValueError as error:  # of a line without an end
        raise ProbeFailedError("the answer is no HTTP") from error
    except ssl.SSLError as error:  # a server may refuse us after the handshake, with TLS 1.3
        raise ProbeFailedError(f"TLS: {error.reason or error}") from error
    if not line.endswith(b"\n"):
        raise ProbeFailedError("the connection was closed without an HTTP status")
    return line


def _status_in(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or len(code) < 3:
        raise ProbeFailedError("the answer is no HTTP")
    return int(code)


@lru_cache(maxsize=256)
def _context(tls: TlsPart) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        context.load_verify_locations(cadata=tls.ca_bundle)
    except (ssl.SSLError, ValueError) as error:
        raise ProbeNotMadeError("tls.caBundle holds no certificates that can be read") from error
    return context
