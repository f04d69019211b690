"""Real TCP and UDP through skylane-fwd on a packet socket."""

import time
from collections import Counter
from pathlib import Path

import pytest
from live.client import ask, request, requests, send_datagram
from live.forwarder import Forwarder, base, listener, running_forwarder
from live.network import CLIENT_ADDRESS, PORT_ADDRESS, SERVERS, VIP, Network

from lib.net import run_in
from lib.proc import wait_until

IDLE_WINDOW_S = 2.0
IDLE_CPU_SHARE_MAX = 0.10


@pytest.mark.usefixtures("forwarder")
def test_requests_reach_each_backend_in_turn(network: Network) -> None:
    assert requests(network.client, 30) == Counter(dict.fromkeys(SERVERS, 10))


@pytest.mark.usefixtures("forwarder")
def test_datagrams_reach_each_backend(network: Network) -> None:
    answers = [ask(network.client, 53, b"hello").split() for _ in range(6)]
    assert Counter(name.decode() for name, _ in answers) == Counter(dict.fromkeys(SERVERS, 2))
    assert {text for _, text in answers} == {b"hello"}


@pytest.mark.usefixtures("forwarder")
def test_ping_answers_on_the_vip_and_the_port(network: Network) -> None:
    for address in (VIP, PORT_ADDRESS):
        assert " 0% packet loss" in run_in(network.client, "ping", "-c", "3", "-i", "0.2", "-W", "2", address)


def test_stats_and_flows_tell_what_passed(network: Network, forwarder: Forwarder) -> None:
    before = forwarder.query("stats")
    requests(network.client, 3)
    send_datagram(network.client, 9999)

    def counted() -> bool:
        drops = forwarder.query("stats")["drops"]
        return bool(drops["no_listener"] == before["drops"]["no_listener"] + 1)

    wait_until(counted, "the stray datagram to be counted as no_listener", timeout_s=5)
    web = forwarder.query("stats")["listeners"]["web"]
    assert web["connections"] == 3
    assert web["packets_in"] > 9
    assert web["bytes_out"] > 15000
    flows = forwarder.query("flows", listener="web")["flows"]
    assert {flow["backend_address"] for flow in flows} == set(SERVERS)
    assert forwarder.query("flows", listener="dns")["flows"] == []


def test_next_hop_is_known(network: Network, forwarder: Forwarder) -> None:
    request(network.client)
    (gateway,) = forwarder.query("stats")["neighbours"]
    assert gateway["address"] == "10.77.0.1"
    assert gateway["state"] == "resolved"


def test_an_idle_forwarder_sleeps(network: Network, forwarder: Forwarder) -> None:
    request(network.client)
    began = forwarder.cpu_seconds()
    time.sleep(IDLE_WINDOW_S)  # the window of the measurement
    used = forwarder.cpu_seconds() - began
    assert used < IDLE_CPU_SHARE_MAX * IDLE_WINDOW_S, f"{used:.2f} CPU seconds in {IDLE_WINDOW_S} s"
    assert requests(network.client, 3).total() == 3


def test_two_workers_share_the_flows(network: Network, tmp_path: Path) -> None:
    two = base(workers=2)
    with running_forwarder(tmp_path, network.forwarder, two, listener("web", SERVERS)) as forwarder:
        assert requests(network.client, 40).total() == 40
        workers = forwarder.query("stats")["workers"]
    assert all(worker["rx_packets"] > 0 for worker in workers), workers


def test_backends_are_counted(network: Network, forwarder: Forwarder) -> None:
    assert requests(network.client, 6).total() == 6
    backends = forwarder.query("backends", listener="web")["backends"]
    assert [(one["address"], one["connections"], one["weight"]) for one in backends] == [
        (server, 2, 1) for server in SERVERS
    ]
    refused = forwarder.query("backends", listener="nobody")
    assert refused["errors"][0]["message"] == 'there is no listener "nobody"'


def test_flows_are_found_by_what_is_known_of_them(network: Network, forwarder: Forwarder) -> None:
    requests(network.client, 3)
    ask(network.client, 53, b"hello")
    (one,) = forwarder.query("flows", protocol="tcp", backend_address=SERVERS[0])["flows"]
    wanted = ("client_address", "client_port", "vip", "vip_port", "state")
    assert (
        forwarder.query("flows", **{name: one[name] for name in wanted})["flows"][0]["local_port"]
        == one["local_port"]
    )
    assert [flow["protocol"] for flow in forwarder.query("flows", vip_port=53)["flows"]] == ["udp"]
    assert forwarder.query("flows", client_address="192.0.2.0/24")["flows"] == []


def test_a_trace_shows_what_became_of_each_packet(network: Network, forwarder: Forwarder) -> None:
    assert forwarder.query("trace")["errors"][0]["message"] == "no trace was started"
    assert forwarder.query("trace", client_address=CLIENT_ADDRESS, vip=VIP, vip_port=80, protocol="tcp")["ok"]
    requests(network.client, 1)
    ask(network.client, 53, b"hello")
    trace = forwarder.query("trace")
    first, second, *rest = trace["records"]
    assert (first["from"], first["verdict"], first["in"]["tcp_flags"]) == ("client", "sent", "S")
    assert (second["from"], second["verdict"], second["in"]["tcp_flags"]) == ("backend", "sent", "SA")
    assert first["out"]["destination"] == second["in"]["source"]
    assert second["out"]["destination"] == first["in"]["source"]
    assert {record["verdict"] for record in rest} == {"sent"}
    assert all("tcp_flags" in record["in"] for record in rest), "a datagram is in the trace"
    assert trace["lost"] == 0


def test_a_trace_names_the_reason_of_a_drop(network: Network, forwarder: Forwarder) -> None:
    forwarder.query("trace", client_address=CLIENT_ADDRESS, protocol="udp")
    send_datagram(network.client, 9999)

    def shown() -> list[dict[str, str]]:
        records: list[dict[str, str]] = forwarder.query("trace")["records"]
        return records

    wait_until(lambda: len(shown()) > 0, "the stray datagram to be shown", timeout_s=5)
    assert (shown()[0]["verdict"], shown()[0]["drop_reason"]) == ("dropped", "no_listener")
