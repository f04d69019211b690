"""Backends: each greets with its own address, then sends back what it gets.

On PROXY_PORT they expect a header of PROXY protocol v2, and greet with the client that it names.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from live.namespaces import bound

TCP_PORT = 8080
UDP_PORT = 5353
PROXY_PORT = 8081
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21"  # signature, version and command
PROXY_FAMILIES = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}


def _serve(connection: socket.socket, name: str) -> None:
    with connection, contextlib.suppress(OSError):
        connection.sendall(f"{name}\n".encode())
        while data := connection.recv(65536):
            connection.sendall(data)


def _serve_proxied(connection: socket.socket, name: str) -> None:
    del name
    with connection, contextlib.suppress(OSError), connection.makefile("rb") as received:
        start = received.read(16)
        rest = received.read(int.from_bytes(start[14:16]))
        if start[:13] != PROXY_V2:
            connection.sendall(b"no header: %r\n" % start)
            return
        family, size = PROXY_FAMILIES[start[13]]
        client, vip = (socket.inet_ntop(family, rest[at : at + size]) for at in (0, size))
        ports = (int.from_bytes(rest[at : at + 2]) for at in (2 * size, 2 * size + 2))
        connection.sendall("{} {} {} {}\n".format(client, vip, *ports).encode())
        while data := received.read1(65536):
            connection.sendall(data)


def _accept_proxied(listener: socket.socket, name: str) -> None:
    _accept(listener, name, _serve_proxied)


def _accept(listener: socket.socket, name: str, serve: Callable[[socket.socket, str], None] = _serve) -> None:
    with contextlib.suppress(OSError):  # the socket is closed: the end
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, name), daemon=True).start()


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
    """Two TCP servers and a UDP server on each address."""
    with ExitStack() as stack:
        for address in addresses:
            for kind, port, target in (
                (socket.SOCK_STREAM, TCP_PORT, _accept),
                (socket.SOCK_STREAM, PROXY_PORT, _accept_proxied),
                (socket.SOCK_DGRAM, UDP_PORT, _answer),
            ):
                served = bound(namespace, kind, (address, port))
                stack.callback(_closed, served)
                threading.Thread(target=target, args=(served, address), daemon=True).start()
        yield
