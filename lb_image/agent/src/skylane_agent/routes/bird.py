"""Client of BIRD's control socket: a command a line, answered by lines with codes, the last of which has a space after its code."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from skylane_agent.errors import BirdGoneError, BirdRefusedError

_TIMEOUT_S = 5.0
_LINE = re.compile(r"(?P<code>\d{4})(?P<more>[- ])(?P<text>.*)", re.DOTALL)
_FIRST_ERROR = 8000
_PROTOCOL = "1002"
_DETAIL = "1006"
_EXPORTED = re.compile(r"Routes: .*?(\d+) exported")

Reply = list[tuple[str, str]]  # code and text of each line


@dataclass(frozen=True, slots=True)
class SessionState:
    """A BGP session as the daemon sees it. `error` is its last one."""

    established: bool
    error: str
    prefixes: int


class Bird:
    """One connection, made by `connected`. Every method raises BirdError when there is no proper answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Hold a connection. That it breaks is known by the next command."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise BirdGoneError(f"{self._path}: {error.strerror or error}") from error
        self._streams = reader, writer
        try:
            await self._reply("greeting", reader)
            yield
        finally:
            self._streams = None
            writer.close()

    async def configure(self, file: Path, *, soft: bool) -> None:
        """Have it run the file; one with an error changes nothing. `soft`: only routes have changed."""
        await self._ask(f'configure {"soft " if soft else ""}"{file}"')

    async def read_sessions(self, prefix: str) -> dict[str, SessionState]:
        """The BGP sessions whose names begin so, by the rest of their names."""
        sessions: dict[str, SessionState] = {}
        name = ""
        for code, text in await self._ask("show protocols all"):
            if code == _PROTOCOL:
                fields = text.split(None, 5)
                name = fields[0].removeprefix(prefix) if fields[0].startswith(prefix) else ""
                if name:
                    state, _, error = (fields[5] if len(fields) > 5 else "").strip().partition(" ")
                    sessions[name] = SessionState(state == "Established", error.strip(), 0)
            elif name and code == _DETAIL and (found := _EXPORTED.search(text)):
                before = sessions[name]
                sessions[name] = SessionState(
                    before.established, before.error, before.prefixes + int(found[1])
                )
        return sessions

    async def _ask(self, command: str) -> Reply:
        if self._streams is None:
            raise BirdGoneError(f"{self._path}: not connected")
        reader, writer = self._streams
        writer.write(command.encode() + b"\n")
        return await self._reply(command.partition(" ")[0], reader)

    async def _reply(self, command: str, reader: asyncio.StreamReader) -> Reply:
        reply: Reply = []
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while line := (await reader.readline()).decode(errors="replace"):
                    code, more = reply[-1][0] if reply else "", "-"
                    if match := _LINE.match(line):
                        code, more, line = match["code"], match["more"], match["text"]
                    if code.isdecimal() and int(code) >= _FIRST_ERROR:
                        raise BirdRefusedError(f"{command}: {line.strip()}")
                    reply.append((code, line.rstrip("\n")))
                    if more == " ":
                        return reply
        except TimeoutError as error:
            raise BirdGoneError(f"{self._path}: no answer to {command} in {_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise BirdGoneError(f"{self._path}: {error.strerror or error}") from error
        raise BirdGoneError(f"{self._path}: closed before it answered {command}")
