"""Backends: each greets with its own address, then sends back what it gets."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from live.namespaces import bound

TCP_PORT = 8080
UDP_PORT = 5353


def _serve(connection: socket.socket, name: str) -> None:
    with connection, contextlib.suppress(OSError):
        connection.sendall(f"{name}\n".encode())
        while data := connection.recv(65536):
            connection.sendall(data)


def _accept(listener: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):  # the socket is closed: the end
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, name), daemon=True).start()


def _answer(datagrams: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            data, client = datagrams.recvfrom(65536)
            if client is None:  # shut down
                return
            datagrams.sendto(name.encode() + b" " + data, client)


def _closed(served: socket.socket) -> None:
    with contextlib.suppress(OSError):
        served.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it
    served.close()


@contextmanager
def running_servers(namespace: str, addresses: tuple[str, ...]) -> Iterator[None]:
    """A TCP and a UDP server on each address."""
    with ExitStack() as stack:
        for address in addresses:
            for kind, port, target in (
                (socket.SOCK_STREAM, TCP_PORT, _accept),
                (socket.SOCK_DGRAM, UDP_PORT, _answer),
            ):
                served = bound(namespace, kind, (address, port))
                stack.callback(_closed, served)
                threading.Thread(target=target, args=(served, address), daemon=True).start()
        yield
