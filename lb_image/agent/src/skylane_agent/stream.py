"""The stream to the operator: dialled by the agent, again and again, for as long as the pod lives."""

import asyncio
import logging
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

import grpc
import grpc.aio

from skylane_agent import messages
from skylane_agent.errors import ForwarderError, RoutingError
from skylane_agent.forwarder import ForwarderClient
from skylane_agent.health.monitor import Monitor
from skylane_agent.local import LocalState
from skylane_agent.messages import RoutingState
from skylane_agent.routes.announcer import AdvertisementReport, Announcer
from skylane_agent.settings import AgentSettings
from skylane_agent.sync_watch import SyncWatch
from skylane_agent.waiting import delays, first_of
from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_api.forwarder.v1 import forwarder_pb2_grpc

log = logging.getLogger(__name__)

Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.AgentMessage, pb.OperatorMessage]"

_MESSAGE_MAX_BYTES = 16 << 20
_NOT_ADVERTISED = messages.advertisement(AdvertisementReport())
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class Timing:
    """How often and how long. A dead peer is noticed after `keepalive_s` + `keepalive_timeout_s`."""

    load_every_s: float = 5.0
    health_pause_s: float = 0.5  # what changes meanwhile is told together
    keepalive_s: float = 10.0
    keepalive_timeout_s: float = 5.0
    write_timeout_s: float = 20.0
    connect_s: float = 3.0
    # Another replica of the operator takes over within seconds: two attempts a second then find it in time.
    first_delay_s: float = 0.2
    soon_delay_s: float = 0.5
    soon_attempts: int = 40
    longest_delay_s: float = 5.0
    refused_delay_s: float = 30.0
    proven_s: float = 30.0  # a stream that lived this long starts the delays anew


@dataclass(frozen=True, slots=True)
class Parts:
    """What the stream speaks of."""

    local: LocalState
    health: Monitor
    announcer: Announcer
    sync: SyncWatch
    forwarder: ForwarderClient


class OperatorStream:
    """Says Hello, applies Deltas in order, acknowledges each, reports load, health and changes."""

    def __init__(
        self,
        settings: AgentSettings,
        parts: Parts,
        chance: random.Random,
        timing: Timing | None = None,
    ) -> None:
        self._settings = settings
        self._local, self._health = parts.local, parts.health
        self._announcer, self._sync, self._forwarder = parts.announcer, parts.sync, parts.forwarder
        self._chance = chance
        self._timing = timing or Timing()
        self._sending = asyncio.Lock()
        self._progress = False  # the operator has sent something on this stream
        self.connected = False
        self.attempts = 0

    async def run(self) -> None:
        """Dial and serve until cancelled; no failure of the operator or of the network ends it."""
        # A Hello before the first look at disk and forwarder would ask for all that is already here.
        await self._local.known.wait()
        waits = self._delays()
        while True:
            started_s = asyncio.get_running_loop().time()
            refused = await self._attempt()
            if self._progress or asyncio.get_running_loop().time() - started_s > self._timing.proven_s:
                waits = self._delays()
            # Nothing but another pod or another operator mends a refusal: ask seldom.
            wait_s = self._timing.refused_delay_s if refused else next(waits)
            log.info("dialling the operator again in %.1f s", wait_s)
            await asyncio.sleep(wait_s)

    def _delays(self) -> Iterator[float]:
        timing, chance = self._timing, self._chance
        soon_s = min(timing.soon_delay_s, timing.longest_delay_s)
        soon = delays(timing.first_delay_s, soon_s, chance)
        return chain(islice(soon, timing.soon_attempts), delays(soon_s, timing.longest_delay_s, chance))

    async def _attempt(self) -> bool:
        """One stream from dial to end; true if the operator will have nothing to do with this pod."""
        self.attempts += 1
        self._progress = False
        try:
            # Read at each dial: the kubelet renews the token, the operator may renew its authority.
            authority = await asyncio.to_thread(self._settings.ca_file.read_bytes)
            token = await asyncio.to_thread(_token_in, self._settings.token_file)
        except (OSError, ValueError) as error:
            log.warning("cannot dial the operator: %s", error)
            return False
        try:
            await self._serve(authority, token)
        except grpc.aio.AioRpcError as error:
            log.warning(
                "operator %s: %s %s", self._settings.operator_address, error.code().name, error.details()
            )
            return bool(error.code() is grpc.StatusCode.PERMISSION_DENIED)
        except TimeoutError:
            log.warning("operator %s takes no messages", self._settings.operator_address)
        finally:
            self.connected = False
        return False

    async def _serve(self, authority: bytes, token: str) -> None:
        # A call credential, not plain metadata: gRPC then never puts the token on a channel without TLS.
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(root_certificates=authority),
            grpc.access_token_call_credentials(token),
        )
        async with grpc.aio.secure_channel(
            self._settings.operator_address, credentials, options=self._options()
        ) as channel:
            call = forwarder_pb2_grpc.ForwarderStub(channel).Stream()  # type: ignore[no-untyped-call]
            self._local.changed.clear()
            await self._send(call, messages.hello(self._settings, self._local, self._announcer.generation))
            self.connected = True
            await first_of(
                self._take_deltas(call),
                self._report_load(call),
                self._report_changes(call),
                self._report(call, self._health.changed, self._health_message, messages.health({})),
                self._report(call, self._announcer.changed, self._advertisement, _NOT_ADVERTISED),
                self._report(call, self._sync.changed, self._sync_message, self._sync_unsaid()),
            )

    def _options(self) -> list[tuple[str, int | str]]:
        return [
            ("grpc.ssl_target_name_override", self._settings.operator_server_name),
            ("grpc.keepalive_time_ms", int(self._timing.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", int(self._timing.keepalive_timeout_s * 1000)),
            # gRPC waits for the answer to a ping for 60 s on its own account, whatever the line above says.
            ("grpc.http2.ping_timeout_ms", int(self._timing.keepalive_timeout_s * 1000)),
            ("grpc.http2.max_pings_without_data", 0),
            # By its name a pause between attempts, it is also how long one attempt may take; by default 20 s.
            ("grpc.min_reconnect_backoff_ms", int(self._timing.connect_s * 1000)),
            ("grpc.max_receive_message_length", _MESSAGE_MAX_BYTES),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]

    async def _send(self, call: Call, message: pb.AgentMessage) -> None:
        # A call that has just ended refuses to be written to; its reader knows why it ended.
        with suppress(asyncio.InvalidStateError):
            async with self._sending, asyncio.timeout(self._timing.write_timeout_s):
                await call.write(message)

    async def _take_deltas(self, call: Call) -> None:
        """Apply and acknowledge in order; the next is read only then, so gRPC holds a fast operator back."""
        async for message in call:
            self._progress = True
            if message.HasField("delta"):
                await self._local.apply(message.delta)
                routing = await self._take_routing(message.delta)
                await self._send(call, messages.ack(message.delta, self._local, routing))
        log.info("the operator ended the stream")

    async def _take_routing(self, delta: pb.Delta) -> RoutingState:
        error = ""
        if delta.HasField("routing"):
            try:
                await self._announcer.take(delta.routing)
            except RoutingError as refused:
                error = str(refused)
                log.error("%s", error)  # noqa: TRY400 - what it says is all there is
        return RoutingState(self._announcer.generation, error)

    async def _report_load(self, call: Call) -> None:
        while True:
            await asyncio.sleep(self._timing.load_every_s)
            if not self._local.running:
                continue
            try:
                stats = await self._forwarder.read_stats()
            except ForwarderError as error:
                log.warning("no load report: %s", error)
                continue
            await self._send(call, messages.load(stats))

    async def _report_changes(self, call: Call) -> None:
        while True:
            await self._local.changed.wait()
            self._local.changed.clear()
            await self._send(call, messages.unasked(self._local, RoutingState(self._announcer.generation)))

    async def _report(
        self,
        call: Call,
        changed: asyncio.Event,
        current: Callable[[], pb.AgentMessage],
        told: pb.AgentMessage,
    ) -> None:
        """Say what is known, then what is new. `told` is what the operator knows of one that has said nothing."""
        while True:
            changed.clear()
            message = current()
            if message != told:
                await self._send(call, message)
                told = message
                await asyncio.sleep(self._timing.health_pause_s)
            await changed.wait()

    def _health_message(self) -> pb.AgentMessage:
        return messages.health(self._health.reports)

    def _advertisement(self) -> pb.AgentMessage:
        return messages.advertisement(self._announcer.report)

    def _sync_unsaid(self) -> pb.AgentMessage:
        """Where a pod is to know others' flows the operator is told even that nothing is known: an earlier word may stand."""
        return pb.AgentMessage() if self._sync.wanted else messages.sync(None)

    def _sync_message(self) -> pb.AgentMessage:
        return messages.sync(self._sync.report)


def _token_in(file: Path) -> str:
    """Read a bearer token (RFC 6750). Raises ValueError, without its content, for a file that holds none."""
    token = file.read_bytes().strip()
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{file} holds no bearer token")
    return token.decode()
