"""A replica without an API server, and its settings."""

import asyncio
import contextlib
import time
import urllib.error
import urllib.request

import pytest
from kubernetes.aio.client.configuration import Configuration
from operator_support import eventually

from skylane_operator.app import Operator
from skylane_operator.errors import SettingsError
from skylane_operator.kube.client import KubeClient
from skylane_operator.settings import Settings
from skylane_operator.telemetry import MAX_STALLED_S

ENVIRONMENT = {
    "SKYLANE_NAMESPACE": "skylane-system",
    "SKYLANE_LB_IMAGE": "skylane/lb:test",
    "SKYLANE_POD_ADDRESS": "10.244.0.7",
    "SKYLANE_GRPC_ADDRESS": "127.0.0.1:0",
    "SKYLANE_HTTP_ADDRESS": "127.0.0.1:0",
}


@contextlib.asynccontextmanager
async def replica_without_api_server():
    nowhere = Configuration()
    nowhere.host = "https://127.0.0.1:1"
    async with KubeClient(nowhere) as client:
        operator, stop = Operator(Settings.from_environment(ENVIRONMENT), client), asyncio.Event()
        task = asyncio.create_task(operator.run(stop))
        try:
            await eventually(lambda: operator.http_port, "the HTTP server")
            yield operator
            assert not task.done()
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)


async def answer(operator, path):
    def read():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{operator.http_port}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    return await asyncio.to_thread(read)


async def test_without_an_api_server_a_replica_waits_and_is_alive():
    async with replica_without_api_server() as operator:
        turns = [one.last_turn for one in operator.cluster.reflectors]
        await eventually(
            lambda: all(
                one.last_turn > turn for one, turn in zip(operator.cluster.reflectors, turns, strict=True)
            ),
            "every watch to be tried again",
        )
        assert await answer(operator, "/healthz") == (200, "ok\n")
        assert (await answer(operator, "/readyz"))[0] == 503
        assert "skylane_operator_leader 0.0" in (await answer(operator, "/metrics"))[1]


async def test_a_replica_that_looks_at_the_lease_no_longer_is_not_alive():
    async with replica_without_api_server() as operator:
        operator._ready.set()
        operator._lease.last_turn = time.monotonic() - MAX_STALLED_S - 1
        status, text = await answer(operator, "/healthz")
    assert status == 503
    assert "the Lease" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SKYLANE_NAMESPACE": ""}, "SKYLANE_NAMESPACE: Field required"),
        (
            {"SKYLANE_POD_ADDRESS": "somewhere"},
            "SKYLANE_POD_ADDRESS: value is not a valid IPv4 or IPv6 address",
        ),
        (
            {"SKYLANE_LEASE_DURATION_S": "1"},
            "SKYLANE_LEASE_DURATION_S: Input should be greater than or equal to 3",
        ),
        ({"SKYLANE_POD_ADDRESS": ""}, "set SKYLANE_POD_ADDRESS or SKYLANE_OPERATOR_ADDRESS"),
    ],
)
def test_settings_that_cannot_be_used_name_the_variable(changes, said):
    with pytest.raises(SettingsError, match=said):
        Settings.from_environment(ENVIRONMENT | changes)
