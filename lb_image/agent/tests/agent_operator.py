"""The operator's end of the stream for the agent's tests: a real gRPC server with real TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
from agent_cases import SERVER_NAME
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skylane_api.forwarder.v1 import forwarder_pb2 as pb
from skylane_api.forwarder.v1 import forwarder_pb2_grpc

DEADLINE_S = 40.0


class Authority:
    """A certificate authority of one test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().issuer_name(self._name).subject_name(subject).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(hours=1))

    def issued(self, name: str) -> tuple[bytes, bytes]:
        """Key and certificate, PEM, for a DNS name."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key_pem, builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Session:
    """One stream as the operator sees it."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.received: asyncio.Queue[pb.AgentMessage] = asyncio.Queue()
        self.to_send: asyncio.Queue[pb.OperatorMessage | grpc.StatusCode] = asyncio.Queue()

    async def next(self, kind: str):
        """The next message of a kind; those of other kinds before it are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.received.get()
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)

    def send(self, sequence: int, **fields) -> None:
        self.to_send.put_nowait(pb.OperatorMessage(delta=pb.Delta(sequence=sequence, **fields)))

    def end(self, code: grpc.StatusCode) -> None:
        self.to_send.put_nowait(code)


class Operator(forwarder_pb2_grpc.ForwarderServicer):
    """Hands every stream to the test as a Session."""

    def __init__(self) -> None:
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()

    async def next_session(self) -> Session:
        async with asyncio.timeout(DEADLINE_S):
            return await self.sessions.get()

    async def Stream(self, request_iterator, context):  # noqa: N802
        metadata = dict(context.invocation_metadata())
        session = Session(metadata.get("authorization", ""))
        self.sessions.put_nowait(session)
        reader = asyncio.create_task(self._read(request_iterator, session))
        try:
            while not isinstance(message := await session.to_send.get(), grpc.StatusCode):
                yield message
            if message is not grpc.StatusCode.OK:
                await context.abort(message, "as the test wants it")
        finally:
            reader.cancel()

    @staticmethod
    async def _read(request_iterator, session: Session) -> None:
        async for message in request_iterator:
            session.received.put_nowait(message)


@contextlib.asynccontextmanager
async def serving(operator: Operator, authority: Authority, port: int = 0) -> AsyncIterator[int]:
    """Serve with a certificate of `authority`; gives the port."""
    options = [
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    forwarder_pb2_grpc.add_ForwarderServicer_to_server(operator, server)
    credentials = grpc.ssl_server_credentials([authority.issued(SERVER_NAME)])
    port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=None)


def write_credentials(folder: Path, authority: Authority, token: str = "first-token") -> None:  # noqa: S107
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / "token").write_text(token)


@contextlib.asynccontextmanager
async def running(agent) -> AsyncIterator[None]:
    """Run an agent for the length of the block; what it raises is raised here."""
    stop = asyncio.Event()
    task = asyncio.create_task(agent.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE_S):
            await task


async def until(condition) -> None:
    """Wait for a condition that has no event of its own."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
