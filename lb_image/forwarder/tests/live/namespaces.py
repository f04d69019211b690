"""Sockets of this process in another network namespace."""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.net import NAMESPACES

CLONE_NEWNET = 0x40000000  # setns(2)

_libc = ctypes.CDLL(None, use_errno=True)


def _set_namespace(path: Path) -> None:
    with path.open() as handle:
        if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """The calling thread is in ``namespace`` during the block; sockets made there stay there."""
    own = Path(f"/proc/self/task/{os.getpid()}/ns/net")
    with own.open() as back:
        _set_namespace(NAMESPACES / namespace)
        try:
            yield
        finally:
            if _libc.setns(back.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot return to the first namespace")


def connected(namespace: str, address: tuple[str, int], timeout_s: float = 5) -> socket.socket:
    """A TCP connection from ``namespace``."""
    with entered(namespace):
        return socket.create_connection(address, timeout=timeout_s)


def bound(namespace: str, kind: socket.SocketKind, address: tuple[str, int]) -> socket.socket:
    """A socket of ``kind`` with a local address in ``namespace``; TCP ones listen."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with entered(namespace):
        made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen(128)
    return made
