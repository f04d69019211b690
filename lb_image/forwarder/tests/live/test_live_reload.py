"""Configuration changes, bad files and a killed forwarder, under real traffic."""

import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest
from live.client import request, requests
from live.forwarder import Forwarder, base, listener, running_forwarder
from live.network import SERVERS, Network
from live.stream import long_stream

from lib.proc import CommandError, run, wait_until

RELOADS = 100
# Alone on the machine it is 20 ms; tests share its cores with others.
STALL_MAX_S = 1.5
# IPv6 of the router's kernel, which looks for neighbours, routers and groups.
NEIGHBOURS_CHATTER = {"unknown_ethertype", "not_ours", "bad_nd"}


def test_a_stream_outlives_a_hundred_reloads(network: Network, forwarder: Forwarder) -> None:
    with long_stream(network) as stream:
        for number in range(RELOADS):
            web = listener("web", SERVERS[: 1 + number % 3])
            forwarder.write(web)
            assert forwarder.load("web")["listeners"]["web"] == web["generation"]
        during = stream.lines
        wait_until(lambda: stream.lines > during or stream.fault, "another line", timeout_s=5)
    assert not stream.fault
    assert stream.longest_s < STALL_MAX_S
    drops = forwarder.query("stats")["drops"]
    assert {reason for reason, count in drops.items() if count} <= NEIGHBOURS_CHATTER


def test_a_removed_backend_takes_no_new_connection(network: Network, forwarder: Forwarder) -> None:
    forwarder.write(listener("web", SERVERS[:2]))
    assert forwarder.load("web")["ok"]
    assert set(requests(network.client, 10)) == set(SERVERS[:2])


def test_a_removed_listener_leaves_the_others(network: Network, forwarder: Forwarder) -> None:
    forwarder.write(listener("other", SERVERS, port=81))
    assert forwarder.load("other")["ok"]
    assert requests(network.client, 3, port=81).total() == 3
    (forwarder.config / "listeners/other.json").unlink()
    assert "other" not in forwarder.load("other")["listeners"]
    with pytest.raises(TimeoutError):
        request(network.client, port=81, timeout_s=0.5)
    assert requests(network.client, 3).total() == 3


def test_a_file_that_is_cut_off_leaves_its_generation(network: Network, forwarder: Forwarder) -> None:
    running = forwarder.query("status")["listeners"]["web"]
    text = json.dumps(listener("web", SERVERS[:1]), indent=1)
    forwarder.write_text("listeners/web.json", text[:100])
    forwarder.write(listener("other", SERVERS, port=81))
    reply = forwarder.load()
    assert not reply["ok"]
    (error,) = reply["errors"]
    assert error["file"] == "listeners/web.json"
    assert error["line"] == text[:100].count("\n") + 1
    assert "cut off" in error["message"]
    assert reply["listeners"]["web"] == running
    assert set(requests(network.client, 6)) == set(SERVERS)
    assert requests(network.client, 3, port=81).total() == 3


def test_an_address_that_is_taken_is_refused(network: Network, forwarder: Forwarder) -> None:
    forwarder.write(listener("thief", SERVERS[:1]))
    reply = forwarder.load("thief")
    assert [(e["file"], e["field"]) for e in reply["errors"]] == [("listeners/thief.json", "vip")]
    assert set(requests(network.client, 6)) == set(SERVERS)


def test_another_base_needs_a_restart(network: Network, forwarder: Forwarder) -> None:
    running = forwarder.query("status")["base_generation"]
    forwarder.write(base(max_flows_per_worker=8192))
    reply = forwarder.load()
    assert [(e["file"], e["field"]) for e in reply["errors"]] == [("base.json", "generation")]
    assert reply["base_generation"] == running
    assert requests(network.client, 3).total() == 3


def test_a_killed_forwarder_goes_on_from_its_directory(network: Network, forwarder: Forwarder) -> None:
    generations = forwarder.query("status")["listeners"]
    forwarder.kill()
    forwarder.start()
    forwarder.wait_for("running")
    assert forwarder.query("status")["listeners"] == generations
    forwarder.wait_for_gateway()
    assert requests(network.client, 6) == Counter(dict.fromkeys(SERVERS, 2))


def test_a_restarted_forwarder_begins_with_another_local_port(network: Network, forwarder: Forwarder) -> None:
    def first_local_port() -> int:
        request(network.client)
        (flow,) = forwarder.query("flows")["flows"]
        return int(flow["local_port"])

    before = first_local_port()
    forwarder.kill()
    forwarder.flow_file.unlink()
    forwarder.start()
    forwarder.wait_for("running")
    forwarder.wait_for_gateway()
    assert first_local_port() != before


def test_a_listener_without_backends_counts_what_it_drops(network: Network, forwarder: Forwarder) -> None:
    forwarder.write(listener("web", ()))
    assert forwarder.load("web")["ok"]
    with contextlib.suppress(TimeoutError):
        request(network.client, timeout_s=0.3)
    assert forwarder.query("stats")["drops"]["no_backends"] >= 1


def test_it_waits_for_its_base(network: Network, tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path, network.forwarder)
    forwarder.config.mkdir()
    forwarder.start()
    try:
        forwarder.wait_for("waiting")
        forwarder.write_text("base.json", '{"version": 1,\n "ports": []}')
        reply = forwarder.load()
        assert (reply["ok"], reply["state"]) == (False, "waiting")
        assert {"file": "base.json", "line": 2, "field": "ports"}.items() <= reply["errors"][1].items()
        forwarder.write(base(), listener("web", SERVERS))
        assert forwarder.load()["state"] == "running"
        forwarder.wait_for_gateway()
        assert requests(network.client, 3).total() == 3
    finally:
        forwarder.stop()


def test_a_missing_interface_is_named(network: Network, tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path, network.forwarder)
    port = base()["ports"][0] | {"interface": "net9"}
    forwarder.write(base(ports=[port]))
    with pytest.raises(CommandError, match=r'ports\[0\] "external": there is no network interface "net9"'):
        run(*forwarder.command, timeout_s=20)


def test_sigterm_ends_it_cleanly(network: Network, tmp_path: Path) -> None:
    with running_forwarder(tmp_path, network.forwarder, base()) as forwarder:
        pass
    assert not (tmp_path / "control.sock").exists()
    assert forwarder.process is not None
    assert not forwarder.process.alive
