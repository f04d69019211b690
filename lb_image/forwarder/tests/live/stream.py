"""A TCP connection that is never silent."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from live.namespaces import connected
from live.network import VIP

from lib.proc import wait_until


@dataclass
class Stream:
    """One long connection on which lines go to and fro without pause."""

    connection: socket.socket
    lines: int = 0
    longest_s: float = 0.0
    fault: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            with self.connection.makefile("rwb", buffering=0) as file:
                while not self.ended.is_set():
                    self._exchange(file)
        except OSError as error:
            self.fault = f"after {self.lines} lines: {error}"

    def _exchange(self, file: socket.SocketIO) -> None:
        began = time.monotonic()
        line = f"{self.lines}\n".encode()
        file.write(line)
        if file.readline() != line:
            raise ConnectionError("another line came back")
        self.lines += 1
        self.longest_s = max(self.longest_s, time.monotonic() - began)


class HasClient(Protocol):
    """A network with a namespace that clients are in."""

    @property
    def client(self) -> str: ...


@contextmanager
def long_stream(network: HasClient, vip: str = VIP) -> Iterator[Stream]:
    """A stream that runs during the block."""
    with connected(network.client, (vip, 80)) as connection:
        connection.recv(64)  # the greeting
        stream = Stream(connection)
        thread = threading.Thread(target=stream.run)
        thread.start()
        try:
            wait_until(lambda: stream.lines > 0 or stream.fault, "the first line", timeout_s=5)
            yield stream
        finally:
            stream.ended.set()
            thread.join(timeout=10)
