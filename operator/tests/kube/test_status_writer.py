import itertools

import pytest
from kubernetes.aio.client.configuration import Configuration
from operator_support import eventually, service
from test_load_balancers import KEY, body

from skylane_operator.kube import status_writer
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.events import EventWriter
from skylane_operator.kube.load_balancers import LoadBalancers
from skylane_operator.kube.resource import LOAD_BALANCER, SERVICE
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.subjects import SharedSubject
from skylane_operator.model.key import Key


async def test_what_cannot_be_written_is_tried_again_later_and_later_with_the_newest(monkeypatch, caplog):
    monkeypatch.setattr(status_writer, "SETTLE_S", 0.0)
    waited = []

    def delays():
        for delay in itertools.repeat(0.01):
            waited.append(delay)
            yield delay

    monkeypatch.setattr(status_writer, "delays", delays)
    configuration = Configuration()
    configuration.host = "https://127.0.0.1:1"
    async with KubeClient(configuration) as nobody:
        balancers = LoadBalancers(nobody, (), lambda _: None, lambda _: None)
        writer = StatusWriter(nobody, LOAD_BALANCER, EventWriter(nobody, "test"), balancers.keep)
        stored = balancers.keep(body(1))
        try:
            writer.write(stored, {"replicas": "0/1"})
            await eventually(lambda: len(waited) >= 2, "the second attempt")
            writer.write(stored, {"replicas": "1/1"})
            await eventually(lambda: len(waited) >= 4, "more attempts")
            assert writer._wanted[KEY][1] == {"replicas": "1/1"}
            assert len(writer._tasks) == 1
        finally:
            await writer.aclose()
    assert writer.writes == 0
    assert "127.0.0.1:1" in caplog.text


@pytest.mark.apiserver
async def test_what_others_wrote_meanwhile_is_not_replaced(api_server, client, namespace):
    path = f"/api/v1/namespaces/{namespace}/services/web"
    read = api_server.request("POST", path.rpartition("/")[0], service(namespace, "web"))["metadata"]
    newer = api_server.request("GET", path)
    newer["metadata"]["labels"] = {"touched": "yes"}
    newer = api_server.request("PUT", path, newer)["metadata"]
    writer = StatusWriter(client, SERVICE, EventWriter(client, "test"))
    condition = {"type": "Told", "status": "True", "reason": "Told", "message": ""}
    status = {"conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    try:
        for metadata, writes in ((read, 0), (newer, 1)):
            one = SharedSubject(Key(namespace, "web"), read["uid"], {}, metadata["resourceVersion"])
            writer.write(one, status)
            await eventually(lambda: not len(writer), "the attempt")
            assert writer.writes == writes
    finally:
        await writer.aclose()
    assert api_server.request("GET", path)["status"]["conditions"][0]["type"] == "Told"
