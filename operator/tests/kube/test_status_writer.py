import itertools

from kubernetes.aio.client.configuration import Configuration
from operator_support import eventually
from test_load_balancers import KEY, body

from skylane_operator.kube import status_writer
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.events import EventWriter
from skylane_operator.kube.load_balancers import LoadBalancers
from skylane_operator.kube.resource import LOAD_BALANCER
from skylane_operator.kube.status_writer import StatusWriter


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
