"""How replies come back to the worker that has their flow: what the port allows, and what the base asks for."""

from pathlib import Path

import pytest
from live.client import requests
from live.forwarder import Forwarder, ForwarderError, base, listener, running_forwarder
from live.network import GATEWAY, LOCAL_ADDRESS, PORT_ADDRESS, SERVERS, Network

# net_null has a key and a RETA of 128 entries, and receives nothing that matters.
NULL_PORT = {
    "name": "external",
    "driver": "vdev",
    "device": "net_null0,size=60",
    "address": f"{PORT_ADDRESS}/24",
    "gateway": GATEWAY,
}


def test_without_rss_the_ring_brings_replies_home(network: Network, tmp_path: Path) -> None:
    with running_forwarder(
        tmp_path, network.forwarder, base(workers=2), listener("web", SERVERS)
    ) as forwarder:
        assert requests(network.client, 40).total() == 40
        stats = forwarder.query("stats")
    assert stats["steering"] == {"mode": "ring", "reason": "the device has no RSS"}
    assert sum(worker["handed_over"] for worker in stats["workers"]) > 0


def test_one_worker_needs_none(forwarder: Forwarder) -> None:
    assert forwarder.query("stats")["steering"]["mode"] == "single"


@pytest.mark.parametrize(("asked", "mode"), [("auto", "rss"), ("rss", "rss"), ("ring", "ring")])
def test_a_port_that_tells_its_hash(network: Network, tmp_path: Path, asked: str, mode: str) -> None:
    forwarder = Forwarder(tmp_path, network.forwarder)
    forwarder.write(base(workers=2, steering=asked, ports=[NULL_PORT], local_addresses=[LOCAL_ADDRESS]))
    forwarder.start()
    try:
        forwarder.wait_for("running")
        assert forwarder.query("stats")["steering"]["mode"] == mode
    finally:
        forwarder.stop()


def test_auto_takes_the_ring_where_memory_is_short(network: Network, tmp_path: Path) -> None:
    """With RSS each worker has a place for every local port; --no-huge reserves what the ring needs."""
    local_addresses = [f"10.77.0.{n}" for n in range(101, 133)]
    forwarder = Forwarder(tmp_path, network.forwarder, keeps_flows=False)
    forwarder.write(base(workers=4, ports=[NULL_PORT], local_addresses=local_addresses))
    forwarder.start()
    try:
        forwarder.wait_for("running")
        stats = forwarder.query("stats")
    finally:
        forwarder.stop()
    assert stats["steering"]["mode"] == "ring"
    assert "no memory" in stats["steering"]["reason"]


def test_rss_that_cannot_be_had_is_no_start(network: Network, tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path, network.forwarder)
    forwarder.write(base(workers=2, steering="rss"))
    forwarder.start()
    try:
        with pytest.raises(
            ForwarderError, match='steering: "rss" cannot be had on port "external": the device'
        ):
            forwarder.wait_for("running")
    finally:
        forwarder.stop()
