"""The gRPC server: who is it (token), which pod (Hello), then a Session until the stream ends.

A pod is only ever given its own snapshot: the token says which pod sends it, and Hello may name no other.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import grpc
import grpc.aio

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_api.forwarder.v1 import forwarder_pb2_grpc
from skylane_operator.agents.registry import Agents
from skylane_operator.agents.session import Session, SupersededError
from skylane_operator.errors import AgentError, AgentRefusedError, ApiError
from skylane_operator.model.key import Key
from skylane_operator.plan.names import workload_name

HELLO_TIMEOUT_S = 10.0
MAX_STREAMS = 4096

# A peer that vanished without a word is noticed within half a minute; agents ping as often, which is allowed.
_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC waits this long for an answer to a ping, whatever the keepalive timeout says.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.so_reuseport", 0),
)

_log = logging.getLogger(__name__)

Context: TypeAlias = grpc.aio.ServicerContext


class PodIdentity(Protocol):
    """The pod that a token is bound to."""

    @property
    def namespace(self) -> str:
        """Of the pod."""

    @property
    def service_account(self) -> str:
        """Name of the ServiceAccount that the pod runs as."""

    @property
    def pod_name(self) -> str:
        """Of the pod."""

    @property
    def pod_uid(self) -> str:
        """Of the pod; a later pod of the same name has another."""


Review = Callable[[str], Awaitable[PodIdentity | None]]


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM of what the server shows."""

    key: bytes
    chain: bytes


class AgentServer(forwarder_pb2_grpc.ForwarderServicer):
    """`review` tells whose token it is (None: nobody's) and may raise ApiError; `certificate` is asked at every handshake."""

    def __init__(self, agents: Agents, review: Review, certificate: Callable[[], Certificate]) -> None:
        self._agents, self._review, self._certificate = agents, review, certificate
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str) -> int:
        """Listen on `host:port`; returns the port. Raises RuntimeError (grpc) if it is taken."""
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_STREAMS)
        forwarder_pb2_grpc.add_ForwarderServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        credentials = grpc.dynamic_ssl_server_credentials(self._configuration(), self._configuration)
        port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        return int(port)

    async def stop(self) -> None:
        """End all streams; agents go on with what they have and dial again."""
        if self._server is not None:
            await self._server.stop(grace=None)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        current = self._certificate()
        return grpc.ssl_server_certificate_configuration([(current.key, current.chain)])

    async def Stream(  # noqa: N802 - the name of the contract
        self, request_iterator: AsyncIterator[pb.AgentMessage], context: Context
    ) -> None:
        """See forwarder.proto."""
        try:
            await self._serve(request_iterator, context)
        except AgentRefusedError as refused:
            _log.warning("agent refused: %s", refused)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(refused))
        except SupersededError as superseded:
            await context.abort(grpc.StatusCode.ABORTED, str(superseded))
        except AgentError as error:
            _log.warning("stream ended: %s", error)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except ApiError as error:
            _log.warning("a token could not be reviewed: %s", error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the token cannot be reviewed now")

    async def _serve(self, messages: AsyncIterator[pb.AgentMessage], context: Context) -> None:
        token = _bearer_token(context)
        identity = await self._review(token) if token else None
        if identity is None:
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "no valid ServiceAccount token of a pod, for us"
            )
            return
        hello = await _first(messages)
        pod, load_balancer = _checked(hello, identity)
        session = Session(self._agents, pod, load_balancer, identity.pod_uid)
        session.open(hello)
        _log.info("agent %s connected, version %s", pod, hello.version)
        try:
            await _until_first_ends(_receive(session, messages), _send(session, context))
        finally:
            session.close()
            _log.info("agent %s disconnected", pod)


def _bearer_token(context: Context) -> str:
    metadata = dict(context.invocation_metadata() or ())
    scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _first(messages: AsyncIterator[pb.AgentMessage]) -> pb.Hello:
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            message = await anext(messages)
    except TimeoutError as late:
        raise AgentError(f"no Hello within {HELLO_TIMEOUT_S:g} s") from late
    except StopAsyncIteration as ended:
        raise AgentError("the stream ended before its Hello") from ended
    if message.WhichOneof("message") != "hello":
        raise AgentError("the first message was not a Hello")
    return message.hello


def _checked(hello: pb.Hello, identity: PodIdentity) -> tuple[Key, Key]:
    """Pod and LoadBalancer that the stream speaks for."""
    pod = Key(identity.namespace, identity.pod_name)
    load_balancer = Key(hello.load_balancer_namespace, hello.load_balancer_name)
    workload = workload_name(load_balancer.name)
    if hello.pod_name != pod.name or load_balancer.namespace != pod.namespace:
        raise AgentRefusedError(
            f"the token of pod {pod} was sent for pod {load_balancer.namespace}/{hello.pod_name}"
        )
    if identity.service_account != workload or pod.name.rpartition("-")[0] != workload:
        raise AgentRefusedError(
            f"pod {pod} with ServiceAccount {identity.service_account} is none of LoadBalancer {load_balancer}"
        )
    return pod, load_balancer


async def _receive(session: Session, messages: AsyncIterator[pb.AgentMessage]) -> None:
    async for message in messages:
        session.receive(message)


async def _send(session: Session, context: Context) -> None:
    async for message in session.deltas():
        await context.write(message)


async def _until_first_ends(*coroutines: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
