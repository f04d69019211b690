"""Certificates that are renewed, and an authority that is followed by another, while agents are connected."""

import base64
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from operator_support import eventually
from replicas_world import Relay
from services_world import POD, served, serving

from skylane_operator import term
from skylane_operator.agents import tls

pytestmark = pytest.mark.apiserver

SECRET = ("v1", "secrets", term.TLS_SECRET)
CONFIG_MAP = ("v1", "configmaps", "edge-skylane")


@pytest.fixture
async def relay(world):
    """Between agents and operator. The operator looks at its certificates all the time."""

    async def port():
        return world.operator.term.grpc_port

    async with Relay(port) as relay:
        world.agents_dial = f"127.0.0.1:{relay.port}"
        yield relay


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(term, "CLOCK_CHECK_S", 0.05)
    monkeypatch.setattr(term, "RENEW_CHECK_S", 0.05)


def files_in(world):
    return {name: base64.b64decode(one) for name, one in world.get(*SECRET)["data"].items()}


def put_files(world, files):
    data = {name: base64.b64encode(one).decode() for name, one in files.items()}
    world.change(*SECRET, lambda body: body.update(data=data))


def shown(world):
    """The certificate that the operator shows to whoever dials now."""
    pem = ssl.get_server_certificate(("127.0.0.1", world.operator.term.grpc_port))
    return x509.load_pem_x509_certificate(pem.encode())


def is_signed_by(certificate, authority):
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except InvalidSignature:
        return False
    return True


def file_times(world):
    """What is programmed again is written anew."""
    folder = world.pod_folder(POD) / "config"
    return {file: file.stat().st_mtime_ns for file in sorted(folder.rglob("*.json"))}


async def until_redialled(world, agent, relay):
    attempts = agent.stream.attempts
    relay.cut()
    await eventually(lambda: agent.stream.attempts > attempts, "the stream to end")
    relay.mend()
    await eventually(lambda: agent.stream.connected, "another stream")
    world.change("v1", "services", "web", lambda body: body["spec"]["ports"][0].update(port=81))
    await eventually(lambda: list(served(world)) == [("192.0.2.8", 81)], "a change", 20)


async def test_a_renewed_certificate_breaks_no_stream(world, relay):
    agent = await serving(world)
    before, times, attempts = shown(world), file_times(world), agent.stream.attempts
    files = files_in(world)
    # Two months have gone by: it has less than one left.
    aged = tls._new_certificate(files, f"skylane-operator.{world.namespace}.svc", _ago(days=61))
    put_files(world, files | aged)
    await eventually(lambda: shown(world).serial_number != before.serial_number, "another certificate", 20)
    await eventually(
        lambda: files_in(world)[tls.CERTIFICATE] != aged[tls.CERTIFICATE], "the Secret to have it"
    )
    assert shown(world).not_valid_after_utc > _ago(days=-89)
    assert agent.stream.attempts == attempts
    assert agent.stream.connected
    assert file_times(world) == times
    await until_redialled(world, agent, relay)


async def test_an_authority_is_followed_by_another_and_agents_trust_both_in_time(world, relay, monkeypatch):
    name = f"skylane-operator.{world.namespace}.svc"
    old = tls.renewed(None, name, _ago(days=3650 - 80))  # within three months of its end
    data = {name: base64.b64encode(one).decode() for name, one in old.items()}
    world.create("v1", "secrets", {"metadata": {"name": term.TLS_SECRET}, "type": "Opaque", "data": data})
    agent = await serving(world)
    times, attempts = file_times(world), agent.stream.attempts
    announced = files_in(world)
    assert announced[tls.CA_CERTIFICATE] == old[tls.CA_CERTIFICATE]
    assert world.get(*CONFIG_MAP)["data"][tls.CA_CERTIFICATE].encode() == tls.trusted(announced)
    pod = (await world.until_pod(POD))["metadata"]["uid"]

    monkeypatch.setattr(tls, "ANNOUNCED", timedelta(0))  # a day has gone by
    following = announced[tls.NEXT_CA_CERTIFICATE]
    await eventually(lambda: files_in(world)[tls.CA_CERTIFICATE] == following, "the successor", 20)
    await eventually(lambda: is_signed_by(shown(world), following), "a certificate of the successor")

    def old_is_gone():
        return world.get(*CONFIG_MAP)["data"][tls.CA_CERTIFICATE].encode() == following

    await eventually(old_is_gone, "the ConfigMap to have the successor alone", 20)
    assert agent.stream.attempts == attempts
    assert agent.stream.connected
    assert file_times(world) == times
    assert (await world.until_pod(POD))["metadata"]["uid"] == pod
    # Its file is still the one of before: what comes by the ConfigMap takes a while.
    await until_redialled(world, agent, relay)


async def test_a_certificate_of_a_clock_that_was_ahead_is_replaced_when_it_is_set(world, relay):
    agent = await serving(world)
    name = f"skylane-operator.{world.namespace}.svc"
    put_files(world, files_in(world) | tls._new_certificate(files_in(world), name, _ago(days=-20)))
    await eventually(lambda: shown(world).not_valid_before_utc < datetime.now(UTC), "one of our time", 20)
    await until_redialled(world, agent, relay)


def _ago(**time):
    return datetime.now(UTC) - timedelta(**time)
