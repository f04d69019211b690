"""Client of the forwarder's control socket: one JSON object a line, a connection per request.

A connection of its own per request costs microseconds and leaves nothing to repair: a reply that came too
late or made no sense is gone with its connection.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from skylane_agent.errors import ForwarderGoneError, ForwarderReplyError, ForwarderTimeoutError

LOAD_NAMES_MAX = 500  # of one request; the forwarder takes 1000 names and 128 KiB
_REPLY_MAX_BYTES = 16 << 20
_OWNER = "owner"
_LEAVE_TIMEOUT_S = 0.5  # the forwarder's own end is not far


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Status(_Reply):
    """What runs. `listeners` maps name to generation."""

    state: Literal["waiting", "running"]
    version: str = ""
    base_generation: str = ""
    listeners: dict[str, str] = {}


class LoadFault(_Reply):
    """Why a file was not taken over."""

    file: str
    line: int = 0
    field: str = ""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.field, self.message) if part)


class Loaded(_Reply):
    """What runs after a load, and what was refused."""

    base_generation: str
    listeners: dict[str, str]
    errors: list[LoadFault] = []


class Done(_Reply):
    """The answer to a command that has nothing else to say."""

    ok: Literal[True]


class ListenerStats(_Reply):
    """Counters of one listener, since the forwarder started; `active_flows` is of now."""

    packets_in: NonNegativeInt = 0
    bytes_in: NonNegativeInt = 0
    packets_out: NonNegativeInt = 0
    bytes_out: NonNegativeInt = 0
    connections: NonNegativeInt = 0
    active_flows: NonNegativeInt = 0


class WorkerStats(_Reply):
    """Counters of one worker, since the forwarder started."""

    rx_packets: NonNegativeInt = 0
    tx_packets: NonNegativeInt = 0
    busy_cycles: NonNegativeInt = 0
    idle_cycles: NonNegativeInt = 0
    naps: NonNegativeInt = 0
    handed_over: NonNegativeInt = 0
    no_buffer: NonNegativeInt = 0


class Neighbour(_Reply):
    """One next hop that the forwarder resolves."""

    address: str
    state: str


class Gateway(_Reply):
    """A gateway of the network with this number, and how long it has not answered; None: never yet."""

    port: str
    network: NonNegativeInt
    address: str
    silent_ms: NonNegativeInt | None


class _Gateways(_Reply):
    gateways: list[Gateway]


class HalfOpen(_Reply):
    """TCP connections that are being opened, and how many gave way to others."""

    live: NonNegativeInt = 0
    evicted: NonNegativeInt = 0


class ClientAddress(_Reply):
    """Segments that had no room for the client's address, where the listener adds it."""

    omitted: NonNegativeInt = 0


class Adoption(_Reply):
    """What this forwarder process took over from the one before it."""

    verdict: str = ""
    adopted_flows: NonNegativeInt = 0
    ended_flows: NonNegativeInt = 0
    damaged_flows: NonNegativeInt = 0


class SyncPeer(_Reply):
    """Another pod of the LoadBalancer, and when it was last heard; None: never. `local_addresses`: what we are to its own."""

    ordinal: NonNegativeInt
    address: str = ""
    state: Literal["alive", "silent"]
    heard_ms: NonNegativeInt | None = None
    local_addresses: str = ""


class Sync(_Reply):
    """Session sync: `joining` until the flows of the other pods are known. Records are flows that were told.

    `local_addresses`: what the pod is to its own ones: standby, probing, owner, or conflict with somebody else who has them.
    """

    state: Literal["joining", "complete"]
    local_addresses: str = _OWNER
    peers: list[SyncPeer] = []
    sent_records: NonNegativeInt = 0
    received_records: NonNegativeInt = 0
    refused_records: NonNegativeInt = 0
    foreign_flows: NonNegativeInt = 0


class Stats(_Reply):
    """All counters of the forwarder."""

    restarts: NonNegativeInt = 0
    adoption: Adoption = Adoption()

    workers: list[WorkerStats]
    drops: dict[str, NonNegativeInt]
    answers: dict[str, NonNegativeInt] = {}
    half_open: HalfOpen = HalfOpen()
    client_address: ClientAddress = ClientAddress()
    listeners: dict[str, ListenerStats]
    neighbours: list[Neighbour] = []
    vips: dict[str, NonNegativeInt] = {}
    sync: Sync | None = None


ReplyT = TypeVar("ReplyT", bound=_Reply)


class ForwarderClient:
    """Asks the forwarder at a unix socket. Every method raises ForwarderError without a proper reply."""

    def __init__(self, path: Path, request_timeout_s: float = 5.0, load_timeout_s: float = 10.0) -> None:
        self._path = path
        self._request_timeout_s = request_timeout_s
        self._load_timeout_s = load_timeout_s

    async def read_status(self) -> Status:
        """Ask what runs."""
        return await self._ask({"command": "status"}, Status, self._request_timeout_s)

    async def read_stats(self) -> Stats:
        """Ask for all counters."""
        return await self._ask({"command": "stats"}, Stats, self._request_timeout_s)

    async def read_gateways(self) -> list[Gateway]:
        """Ask for every gateway; the forwarder asks them while it is asked."""
        return (await self._ask({"command": "gateways"}, _Gateways, self._request_timeout_s)).gateways

    async def leave(self) -> None:
        """Have it tell the other pods that it is about to end: they take its local addresses over while it still forwards."""
        await self._ask({"command": "leave"}, Done, _LEAVE_TIMEOUT_S)

    async def load(self, names: Sequence[str]) -> Loaded:
        """Have the named listeners, at least one, read anew; one whose file is gone is removed."""
        errors: list[LoadFault] = []
        for first in range(0, len(names), LOAD_NAMES_MAX):
            request = {"command": "load", "listeners": list(names[first : first + LOAD_NAMES_MAX])}
            loaded = await self._ask(request, Loaded, self._load_timeout_s)
            errors += loaded.errors
        return loaded.model_copy(update={"errors": errors})

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[asyncio.Task[None]]:
        """Hold an idle connection; the task given ends when the forwarder does. Raises ForwarderGoneError."""
        reader, writer = await self._connect()
        gone = asyncio.create_task(_until_end_of(reader), name="forwarder watch")
        try:
            yield gone
        finally:
            gone.cancel()
            writer.close()

    async def is_supervised(self) -> bool:
        """Whether somebody is there who starts the forwarder again."""
        try:
            _, writer = await asyncio.open_unix_connection(f"{self._path}.supervisor")
        except OSError:
            return False
        writer.close()
        return True

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_unix_connection(self._path, limit=_REPLY_MAX_BYTES)
        except OSError as error:
            raise ForwarderGoneError(f"{self._path}: {error.strerror or error}") from error

    async def _ask(self, request: dict[str, Any], reply: type[ReplyT], timeout_s: float) -> ReplyT:
        command = request["command"]
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._line(request)
        except TimeoutError as error:
            raise ForwarderTimeoutError(f"{self._path}: no reply to {command} in {timeout_s} s") from error
        try:
            return reply.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "line"
            raise ForwarderReplyError(f"{self._path}: reply to {command}: {place}: {first['msg']}") from error

    async def _line(self, request: dict[str, Any]) -> bytes:
        command = request["command"]
        reader, writer = await self._connect()
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            line = await reader.readline()
        except OSError as error:
            raise ForwarderGoneError(f"{self._path}: {error.strerror or error}") from error
        except ValueError as error:
            raise ForwarderReplyError(f"{self._path}: reply to {command}: too long") from error
        finally:
            writer.close()
        if not line.endswith(b"\n"):
            raise ForwarderGoneError(f"{self._path}: closed before it replied to {command}")
        return line


async def _until_end_of(reader: asyncio.StreamReader) -> None:
    """Return when the other side is gone; it never sends anything unasked."""
    try:
        await reader.read()
    except OSError:
        return
