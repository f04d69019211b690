"""ICMP: an echo request is answered. Through a ping socket, which needs no capability but a group that the kernel lets have one."""

import asyncio
import os
import socket
import struct

from skylane_agent.errors import ProbeNotMadeError
from skylane_agent.health.check import Target
from skylane_agent.health.probes.tcp import family_of

_TOKEN_BYTES = 16
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum and identifier (the kernel's to fill in), sequence
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: bytes([0]), socket.AF_INET6: bytes([129])}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}


async def probe_icmp(target: Target) -> None:
    """Raises ProbeNotMadeError or OSError."""
    family = family_of(target.endpoint.address)
    token = os.urandom(_TOKEN_BYTES)
    loop = asyncio.get_running_loop()
    with _ping_socket(family) as pinging:
        pinging.settimeout(0)
        pinging.connect((target.endpoint.address, 0))
        pinging.send(_HEADER.pack(_REQUEST[family], 0, 0, 0, 1) + token)
        while True:
            answer = await loop.sock_recv(pinging, 2048)
            if answer[:1] == _REPLY[family] and answer[_HEADER.size :] == token:
                return


def _ping_socket(family: socket.AddressFamily) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_DGRAM, _PROTOCOL[family])
    except PermissionError as error:
        raise ProbeNotMadeError(
            f"ping sockets are not permitted: the pod's sysctl net.ipv4.ping_group_range must hold group {os.getgid()}"
        ) from error
