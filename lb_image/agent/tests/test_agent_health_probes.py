"""Each kind of probe against a real server."""

import asyncio
import base64
import contextlib
import ctypes
import errno
import os
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc.aio
import pytest
from agent_backends import HOST, NAME, Web, target, tcp_server, tls_of, unused
from agent_operator import DEADLINE_S, Authority
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health_aio

from skylane_agent.health.check import Endpoint
from skylane_agent.health.probes import outcome_of
from skylane_agent.health.verdict import PASSED, Outcome


async def probed(endpoint, kind, **changes):
    async with asyncio.timeout(DEADLINE_S):
        return await outcome_of(target(endpoint, kind, **changes))


def failed(reason):
    return Outcome("failed", reason)


async def silent(reader, _writer):
    await reader.read()


# TCP


async def test_tcp_is_a_connection():
    async with tcp_server(silent) as endpoint:
        assert await probed(endpoint, "tcp") == PASSED
    assert await probed(await unused(), "tcp") == failed("Connection refused")


async def test_tcp_over_ipv6():
    server = await asyncio.start_server(silent, "::1")
    async with server:
        assert await probed(Endpoint("::1", server.sockets[0].getsockname()[1]), "tcp") == PASSED


async def test_what_is_lacking_on_our_side_is_not_the_backends_fault(monkeypatch):
    def no_sockets(*_args, **_kwargs):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    endpoint = await unused()
    monkeypatch.setattr(socket, "socket", no_sockets)
    assert await probed(endpoint, "tcp") == Outcome("not_made", "Too many open files")


async def test_an_agent_without_cpu_does_not_take_it_out_on_the_backends():
    async with tcp_server(silent) as endpoint:
        asyncio.get_running_loop().call_later(0.05, time.sleep, 0.4)  # nothing is read meanwhile
        found = await probed(endpoint, "http", timeout_ms=200)
    assert found == Outcome("not_made", "the agent gets too little CPU to read answers in time")


# HTTP and HTTPS


def http_part(path="/", host="", statuses=("200-399",)):
    return {"path": path, "host": host, "expected_statuses": statuses}


async def test_http_asks_for_path_and_host():
    web = Web()
    async with web.serving() as endpoint:
        assert await probed(endpoint, "http", http=http_part("/healthz?full=1", "web.example:80")) == PASSED
        assert await probed(endpoint, "http") == PASSED
    first, second = web.seen
    assert (first.path_qs, first.headers["Host"]) == ("/healthz?full=1", "web.example:80")
    assert (second.path_qs, second.headers["Host"]) == ("/", str(endpoint))
    assert first.headers["User-Agent"] == "skylane-health"


@pytest.mark.parametrize(
    ("status", "statuses", "outcome"),
    [
        (204, ("200-399",), PASSED),
        (302, ("200-399",), PASSED),
        (404, ("200-399",), failed("HTTP status 404")),
        (404, ("200", "404"), PASSED),
        (503, ("200-399",), failed("HTTP status 503")),
        (200, ("204",), failed("HTTP status 200")),
    ],
)
async def test_http_expects_statuses(status, statuses, outcome):
    web = Web()
    web.status = status
    async with web.serving() as endpoint:
        assert await probed(endpoint, "http", http=http_part(statuses=statuses)) == outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            PASSED,
        ),
        (b"HTTP/1.0 200\r\n", PASSED),
        (b"HTTP/1.1 200 OK", failed("the connection was closed without an HTTP status")),
        (b"", failed("the connection was closed without an HTTP status")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", failed("the answer is no HTTP")),
        (b"HTTP/1.1 2x0 OK\r\n", failed("the answer is no HTTP")),
        (b"HTTP/1.1 20", failed("the connection was closed without an HTTP status")),
        (b"x" * 100_000, failed("the answer is no HTTP")),
        (b"HTTP/1.1 100 x\r\n" + b"y: z\r\n" * 20_000, failed("the answer is no HTTP")),
    ],
    ids=range(9),
)
async def test_http_takes_any_answer_without_harm(answer, outcome):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()
            writer.close()

    async with tcp_server(talk) as endpoint:
        assert await probed(endpoint, "http") == outcome


async def test_a_silent_server_fails_after_the_timeout():
    async with tcp_server(silent) as endpoint:
        assert await probed(endpoint, "http", timeout_ms=300) == failed("no answer within 300 ms")
        tls = {"server_name": "", "ca_bundle": "", "insecure_skip_verify": True}
        assert await probed(endpoint, "https", tls=tls, timeout_ms=300) == failed("no answer within 300 ms")


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.mark.parametrize(
    ("name", "other_authority", "skip", "outcome"),
    [
        (NAME, False, False, ""),
        ("other.example", False, False, "certificate: Hostname mismatch"),
        (NAME, True, False, "certificate: "),
        ("other.example", True, True, ""),
    ],
)
async def test_https_verifies_unless_it_is_told_not_to(
    tmp_path, authority, name, other_authority, skip, outcome
):
    trusted = (Authority() if other_authority else authority).certificate.decode()
    tls = {"server_name": name, "ca_bundle": "" if skip else trusted, "insecure_skip_verify": skip}
    async with Web().serving(tls_of(tmp_path, authority)) as endpoint:
        found = await probed(endpoint, "https", tls=tls)
    assert found.kind == ("failed" if outcome else "passed")
    assert found.reason.startswith(outcome)


async def test_https_to_a_server_without_tls_fails():
    tls = {"server_name": "", "ca_bundle": "", "insecure_skip_verify": True}
    async with Web().serving() as endpoint:
        found = await probed(endpoint, "https", tls=tls)
    assert found.kind == "failed"
    assert found.reason.startswith("TLS: ")


async def test_a_ca_bundle_that_cannot_be_read_is_our_own_trouble():
    tls = {"server_name": NAME, "ca_bundle": "-----BEGIN CERTIFICATE-----", "insecure_skip_verify": False}
    assert await probed(await unused(), "https", tls=tls) == Outcome(
        "not_made", "tls.caBundle holds no certificates that can be read"
    )


# gRPC


@contextlib.asynccontextmanager
async def grpc_server(*, health=True):
    server = grpc.aio.server()
    servicer = grpc_health_aio.HealthServicer()
    if health:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    try:
        yield Endpoint(HOST, port), servicer
    finally:
        await server.stop(grace=None)


async def test_grpc_asks_for_the_health_of_the_server_or_of_a_service():
    async with grpc_server() as (endpoint, servicer):
        assert await probed(endpoint, "grpc") == PASSED
        assert await probed(endpoint, "grpc", grpc={"service": "shop"}) == failed("gRPC: NOT_FOUND")
        await servicer.set("shop", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert await probed(endpoint, "grpc", grpc={"service": "shop"}) == failed("gRPC: NOT_SERVING")
        await servicer.set("shop", health_pb2.HealthCheckResponse.SERVING)
        assert await probed(endpoint, "grpc", grpc={"service": "shop"}) == PASSED


async def test_grpc_without_the_health_service_or_without_a_server_fails():
    async with grpc_server(health=False) as (endpoint, _):
        assert await probed(endpoint, "grpc") == failed("gRPC: the server does not have grpc.health.v1")
    assert await probed(await unused(), "grpc") == failed("gRPC: UNAVAILABLE")


async def test_grpc_has_an_end_too():
    async with tcp_server(silent) as endpoint:
        assert await probed(endpoint, "grpc", timeout_ms=300) == failed("no answer within 300 ms")


# UDP


@contextlib.asynccontextmanager
async def udp_server(*answers):
    """Answers every datagram with these; gives the endpoint and what came."""
    seen = []

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            seen.append(data)
            for answer in answers:
                self.transport.sendto(answer, address)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=(HOST, 0))
    try:
        yield Endpoint(*transport.get_extra_info("sockname")), seen
    finally:
        transport.close()


def udp_part(payload=b"", expect=b""):
    return {"payload": base64.b64encode(payload).decode(), "expect": base64.b64encode(expect).decode()}


async def test_udp_without_an_expected_answer_fails_only_when_the_port_is_unreachable():
    async with udp_server() as (endpoint, seen):
        assert await probed(endpoint, "udp", timeout_ms=500) == PASSED
        assert await probed(endpoint, "udp", timeout_ms=100, udp=udp_part(b"\0ping")) == PASSED
        assert seen == [b"", b"\0ping"]
    assert await probed(await unused(), "udp") == failed("Connection refused")


async def test_udp_with_an_expected_answer_waits_for_it():
    async with udp_server(b"something else", b"it is pong.") as (endpoint, _):
        assert await probed(endpoint, "udp", udp=udp_part(b"ping", b"pong")) == PASSED
        found = await probed(endpoint, "udp", udp=udp_part(b"ping", b"other"), timeout_ms=300)
        assert found == failed("no answer within 300 ms")


# ICMP

CLONE_NEWNET = 0x40000000


@pytest.fixture
def namespace():
    name = f"sky-health-{uuid.uuid4().hex[:6]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def pinged(namespace, groups, *addresses):
    """Outcomes in the namespace, in which one thread lives for the length of this."""

    def ping():
        with Path(f"/run/netns/{namespace}").open("rb") as file:
            assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) == 0
        subprocess.run(["sysctl", "-qw", f"net.ipv4.ping_group_range={groups}"], check=True)
        targets = [target(Endpoint(address, 80), "icmp", timeout_ms=500) for address in addresses]
        return [asyncio.run(outcome_of(one)) for one in targets]

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(ping).result()


def test_icmp_is_an_echo_and_its_answer(namespace):
    no_network = Outcome("not_made", "Network is unreachable")
    assert pinged(namespace, "0 65535", HOST, "::1", "192.0.2.1") == [PASSED, PASSED, no_network]
    subprocess.run(["ip", "-n", namespace, "route", "add", "unreachable", "198.51.100.0/24"], check=True)
    assert pinged(namespace, "0 65535", "198.51.100.1") == [failed("No route to host")]


def test_icmp_that_is_not_permitted_says_what_it_needs(namespace):
    (found,) = pinged(namespace, "1 0", HOST)
    assert found.kind == "not_made"
    assert "the pod's sysctl net.ipv4.ping_group_range must hold group" in found.reason
