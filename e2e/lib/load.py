"""A steady load for faults to be put under: new connections at a fixed rate, and long-lived streams beside them.

As a program it is the client: `python load.py ADDRESS PORT` runs until SIGTERM and prints one JSON object. As a module it starts
that program in a network namespace. The program uses the standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

RATE_PER_S = 50
STREAMS = 10
STREAM_INTERVAL_S = 0.1
CONNECT_TIMEOUT_S = 1.0
STREAM_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = STREAM_TIMEOUT_S + 15
NAMESPACES = Path("/run/netns")
REQUEST = b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n"


@dataclass
class Toll:
    """What a fault cost.

    `outage_ms` is the time from the first lost connection to the last one, by their beginnings; `gap_ms` the longest time in which
    no new connection succeeded, which is less where some paths go on; `stall_ms` the longest time that a stream waited for an
    answer it got.
    """

    connections: int = 0
    lost: int = 0
    streams: int = STREAMS
    resets: int = 0
    outage_ms: int = 0
    gap_ms: int = 0
    stall_ms: int = 0
    failures: list[str] = field(default_factory=list)


class Load:
    """The load, running in a namespace until ``finish``."""

    def __init__(self, namespace: str, address: str, port: int) -> None:
        words = [
            "nsenter",
            f"--net={NAMESPACES / namespace}",
            "--",
            sys.executable,
            __file__,
            address,
            str(port),
        ]
        self._process = subprocess.Popen(words, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self._process.stdout:
            self._process.stdout.readline()  # every stream has had its first answer

    def finish(self) -> Toll:
        """End it; what it saw.

        Raises:
            RuntimeError: the client itself broke; the message is what it said.

        """
        self._process.send_signal(signal.SIGTERM)
        try:
            out, err = self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
        if self._process.returncode != 0:
            raise RuntimeError(f"load: status {self._process.returncode}: {err.decode()[-1000:]}")
        return Toll(**json.loads(out))


class Client:
    """The tasks of the program and what they note."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._toll = Toll()
        self._stopping = asyncio.Event()
        self._lost_s: list[float] = []
        self._succeeded_s: list[float] = []
        self._streams_begun = 0

    async def run(self) -> Toll:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(STREAMS):
                tasks.create_task(self._stream())
            await self._connect_at_rate(tasks)
        self._toll.outage_ms = _ms(max(self._lost_s) - min(self._lost_s)) if self._lost_s else 0
        times = sorted(self._succeeded_s)
        self._toll.gap_ms = _ms(max((b - a for a, b in itertools.pairwise(times)), default=0.0))
        return self._toll

    async def _connect_at_rate(self, tasks: asyncio.TaskGroup) -> None:
        started, count = time.monotonic(), 0
        while not self._stopping.is_set():
            tasks.create_task(self._connection())
            count += 1
            await asyncio.sleep(max(0.0, started + count / RATE_PER_S - time.monotonic()))

    async def _connection(self) -> None:
        began_s = time.monotonic()
        self._toll.connections += 1
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._address, self._port)
                with contextlib.closing(writer):
                    await _ask(reader, writer)
        except (OSError, EOFError) as error:  # a TimeoutError is an OSError
            self._toll.lost += 1
            self._lost_s.append(began_s)
            self._note("connection", error)
            return
        self._succeeded_s.append(time.monotonic())

    async def _stream(self) -> None:
        """One connection with a question each 100 ms; when it breaks, that is a reset, and another one is opened."""
        fresh = True
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(STREAM_TIMEOUT_S):
                    reader, writer = await asyncio.open_connection(self._address, self._port)
            except OSError:
                await asyncio.sleep(STREAM_INTERVAL_S)
                continue
            with contextlib.closing(writer):
                try:
                    await self._ask_on(reader, writer, fresh=fresh)
                except (OSError, EOFError) as error:
                    self._toll.resets += 1
                    self._note("stream", error)
            fresh = False

    async def _ask_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, fresh: bool
    ) -> None:
        while not self._stopping.is_set():
            asked_s = time.monotonic()
            async with asyncio.timeout(STREAM_TIMEOUT_S):
                await _ask(reader, writer)
            self._toll.stall_ms = max(self._toll.stall_ms, _ms(time.monotonic() - asked_s))
            if fresh:
                fresh = False
                self._streams_begun += 1
                if self._streams_begun == STREAMS:
                    print("begun", flush=True)
            await asyncio.sleep(STREAM_INTERVAL_S)

    def _note(self, what: str, error: Exception) -> None:
        if len(self._toll.failures) < 10:
            self._toll.failures.append(f"{what}: {error!r}")


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(Client(given.address, given.port).run()))))


if __name__ == "__main__":
    main()
