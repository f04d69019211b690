"""A TCP relay that can go silent, as a network does that loses its packets."""

import asyncio
from typing import Self

_PORTION_BYTES = 65536


class FreezingProxy:
    """Relays connections to a local port. Those of before `freeze` stay open and carry nothing any more."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._gates: list[asyncio.Event] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        for gate in self._gates:
            gate.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gate = asyncio.Event()
        gate.set()
        self._gates.append(gate)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers += [writer, far_writer]
        back = asyncio.create_task(self._copy(far_reader, writer, gate))
        await self._copy(reader, far_writer, gate)
        back.cancel()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        while portion := await reader.read(_PORTION_BYTES):
            if gate.is_set():
                writer.write(portion)
