"""TCP: a connection is accepted, and closed again."""

import asyncio
import socket

from skylane_agent.health.check import Target


async def probe_tcp(target: Target) -> None:
    """Raises OSError."""
    with socket.socket(family_of(target.endpoint.address), socket.SOCK_STREAM) as connection:
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, target.endpoint)


def family_of(address: str) -> socket.AddressFamily:
    """IP version of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET
