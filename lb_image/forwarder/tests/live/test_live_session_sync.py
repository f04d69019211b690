"""Two forwarders that sync their sessions: a stream goes on at either of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live.forwarder import Forwarder, base, listener
from live.segment import SERVER, VIP, Segment, mac_of, made_segment
from live.stream import Stream, long_stream

from lib.net import ip
from lib.proc import wait_until

TIMEOUT_S = 20
KEY = bytes(range(16)).hex()


@pytest.fixture(scope="module")
def segment() -> Iterator[Segment]:
    with made_segment() as segment:
        yield segment


def port_address(number: int) -> str:
    return f"10.77.0.{11 + number}"


def local_address(number: int) -> str:
    return f"10.77.0.{101 + number}"


def sync_base(number: int, key_file: Path) -> dict[str, Any]:
    """base.json of one of two pods."""
    port = {"name": "external", "driver": "af_packet", "interface": "net1"}
    other = 1 - number
    peer = {
        "ordinal": other,
        "address": port_address(other),
        "local_addresses": [local_address(other)],
    }
    return base(
        ports=[port | {"address": f"{port_address(number)}/24"}],
        local_addresses=[local_address(number)],
        sync={"ordinal": number, "udp_port": 5407, "key_file": str(key_file), "peers": [peer]},
    )


@contextmanager
def pod(segment: Segment, directory: Path, number: int) -> Iterator[Forwarder]:
    key_file = directory / "key"
    key_file.write_text(KEY)
    forwarder = Forwarder(directory / f"pod{number}", segment.pods[number])
    forwarder.write(sync_base(number, key_file), listener("web", (SERVER,), vip=VIP, arp=False))
    forwarder.start()
    try:
        forwarder.wait_for("running")
        yield forwarder
    finally:
        forwarder.stop()


def sync_of(forwarder: Forwarder) -> dict[str, Any]:
    return dict(forwarder.query("stats")["sync"])


def wait_until_complete(*forwarders: Forwarder) -> None:
    for forwarder in forwarders:
        wait_until(lambda f=forwarder: sync_of(f)["state"] == "complete", "all flows", TIMEOUT_S, 0.02)


def wait_for_foreign(forwarder: Forwarder, count: int) -> None:
    wait_until(lambda: sync_of(forwarder)["foreign_flows"] == count, "the peer's flow", TIMEOUT_S, 0.02)


def send_to(segment: Segment, number: int) -> None:
    """From now on the client's packets come to this pod, as when a router hashes its paths anew."""
    ip(segment.client, f"neigh replace {VIP} lladdr {mac_of(segment.pods[number])} nud permanent dev net1")


def wait_for_lines(stream: Stream, count: int = 50) -> None:
    """Until the stream has gone on for so long."""
    wanted = stream.lines + count
    wait_until(lambda: stream.lines > wanted or stream.fault, "more lines", TIMEOUT_S, 0.01)
    assert not stream.fault


def packets_in(forwarder: Forwarder) -> int:
    return int(forwarder.query("stats")["listeners"]["web"]["packets_in"])


def test_a_stream_goes_on_at_another_pod(segment: Segment, tmp_path: Path, record_property: Any) -> None:
    with pod(segment, tmp_path, 0) as first, pod(segment, tmp_path, 1) as second:
        wait_until_complete(first, second)
        send_to(segment, 0)
        with long_stream(segment, VIP) as stream:
            wait_for_foreign(second, 1)
            assert packets_in(second) == 0
            stream.longest_s = 0
            send_to(segment, 1)
            wait_for_lines(stream)
            assert packets_in(second) >= 50
            send_to(segment, 0)
            wait_for_lines(stream)
            record_property("longest_ms", round(stream.longest_s * 1000))
        assert [peer["state"] for peer in sync_of(first)["peers"]] == ["alive"]


def test_a_pod_that_lost_its_flows_gets_them_back(
    segment: Segment, tmp_path: Path, record_property: Any
) -> None:
    with pod(segment, tmp_path, 0) as first, pod(segment, tmp_path, 1) as second:
        wait_until_complete(first, second)
        send_to(segment, 0)
        with long_stream(segment, VIP) as stream:
            wait_for_foreign(second, 1)
            stream.longest_s = 0
            first.kill()
            first.flow_file.unlink()
            first.start()
            first.wait_for("running")
            wait_until_complete(first)
            wait_for_lines(stream)
            record_property("pause_ms", round(stream.longest_s * 1000))
            stats = first.query("stats")
            assert stats["adoption"]["adopted_flows"] == 0
            assert stats["listeners"]["web"]["active_flows"] == 1


def test_the_key_must_be_there(segment: Segment, tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path / "pod0", segment.pods[0])
    forwarder.write(sync_base(0, tmp_path / "no-key"), listener("web", (SERVER,), vip=VIP, arp=False))
    forwarder.start()
    try:
        forwarder.wait_for("waiting")
        reply = forwarder.load()
    finally:
        forwarder.stop()
    assert not reply["ok"]
    assert [error["field"] for error in reply["errors"]] == ["sync.key_file"]
    assert "No such file or directory" in reply["errors"][0]["message"]
