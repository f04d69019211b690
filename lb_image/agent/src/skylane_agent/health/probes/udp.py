"""UDP: an answer comes that holds what is expected; or, when none is expected, no ICMP error does."""

import asyncio
import base64
import socket

from skylane_agent.health.check import Target
from skylane_agent.health.probes.tcp import family_of

_DATAGRAM_MAX_BYTES = 65535
_WAIT_SHARE = 0.9  # of the check's timeout, which is a failure


async def probe_udp(target: Target) -> None:
    """Raises OSError: the kernel reports on a connected socket that host or port are unreachable."""
    payload, expected = base64.b64decode(target.check.udp.payload), base64.b64decode(target.check.udp.expect)
    with socket.socket(family_of(target.endpoint.address), socket.SOCK_DGRAM) as connected:
        connected.settimeout(0)
        connected.connect(target.endpoint)
        connected.send(payload)  # not through asyncio, which does not send an empty datagram
        if expected:
            await _answer(connected, expected)
            return
        try:
            async with asyncio.timeout(_WAIT_SHARE * target.check.timeout_ms / 1000):
                await _answer(connected, b"")
        except TimeoutError:
            return


async def _answer(connected: socket.socket, expected: bytes) -> None:
    loop = asyncio.get_running_loop()
    while expected not in await loop.sock_recv(connected, _DATAGRAM_MAX_BYTES):
        pass
