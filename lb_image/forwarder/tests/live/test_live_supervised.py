"""A supervised forwarder: killed, replaced and given up, as in the pod."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.client import greeting, requests
from live.forwarder import Forwarder, base, listener, running_forwarder
from live.namespaces import bound, connected
from live.network import CLIENT_ADDRESS, SERVERS, VIP, Network
from live.servers import UDP_PORT
from live.stream import Stream, long_stream

from lib.proc import wait_until

# Alone on the machine it is some 150 ms; tests share its cores with others.
GAP_MAX_S = 1.5
IDLE = 5
CRASHES_MAX = 3


@pytest.fixture
def forwarder(network: Network, tmp_path: Path) -> Iterator[Forwarder]:
    dns = listener("dns", SERVERS, port=53, backend_port=UDP_PORT, protocol="udp")
    configurations = (base(), listener("web", SERVERS), dns)
    with running_forwarder(tmp_path, network.forwarder, *configurations, supervised=True) as forwarder:
        yield forwarder


def restarts(forwarder: Forwarder) -> int:
    """Of the forwarder that answers now; -1: none does."""
    try:
        return int(forwarder.query("stats").get("restarts", -1))
    except (FileNotFoundError, ConnectionError):
        return -1


def wait_for_restart(forwarder: Forwarder, number: int) -> None:
    wait_until(lambda: restarts(forwarder) == number, f"restart {number}", timeout_s=10, interval_s=0.01)


def wait_for_spare(forwarder: Forwarder) -> None:
    """Until EAL of the spare has its threads, so that all that is left waits for the supervisor."""

    def waits() -> bool:
        children = forwarder.children()
        tasks = [len(list(Path(f"/proc/{child}/task").iterdir())) for child in children]
        return len(children) == 2 and tasks[1] >= 2

    wait_until(waits, "a spare process", timeout_s=10)


def goes_on(stream: Stream) -> None:
    before = stream.lines
    wait_until(lambda: stream.lines > before + 10 or stream.fault, "more lines", timeout_s=10)
    assert not stream.fault


def test_no_connection_notices_kill_9(network: Network, forwarder: Forwarder) -> None:
    wait_for_spare(forwarder)
    with (
        bound(network.client, socket.SOCK_DGRAM, (CLIENT_ADDRESS, 0)) as udp,
        long_stream(network) as stream,
    ):
        idle = [connected(network.client, (VIP, 80)) for _ in range(IDLE)]
        assert all(greeting(connection) in SERVERS for connection in idle)
        udp.settimeout(5)
        udp.sendto(b"who", (VIP, 53))
        first = udp.recvfrom(64)[0]
        os.kill(forwarder.children()[0], signal.SIGKILL)
        wait_for_restart(forwarder, 1)
        goes_on(stream)
        for connection in idle:
            connection.sendall(b"still there?")
            assert connection.recv(64) == b"still there?"
            connection.close()
        udp.sendto(b"who", (VIP, 53))
        assert udp.recvfrom(64)[0] == first
    stats = forwarder.query("stats")
    assert stats["adoption"]["verdict"] == "adopted"
    assert stats["adoption"]["adopted_flows"] == IDLE + 2
    assert stats["answers"]["resets"] == 0
    assert stream.longest_s < GAP_MAX_S


def test_hangup_replaces_the_process(network: Network, forwarder: Forwarder) -> None:
    wait_for_spare(forwarder)
    with long_stream(network) as stream:
        assert forwarder.process is not None
        old = forwarder.children()
        forwarder.process.send(signal.SIGHUP)
        wait_for_restart(forwarder, 1)
        goes_on(stream)
    assert stream.longest_s < GAP_MAX_S
    assert not set(old) & set(forwarder.children())


def test_it_gives_up_after_three_crashes(network: Network, forwarder: Forwarder) -> None:
    assert forwarder.process is not None
    for number in range(1, CRASHES_MAX + 1):
        os.kill(forwarder.children()[0], signal.SIGKILL)
        if number < CRASHES_MAX:
            wait_for_restart(forwarder, number)
            assert requests(network.client, 1).total() == 1
    _, status = os.waitpid(forwarder.process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGKILL


def test_a_spare_that_dies_is_not_missed(network: Network, forwarder: Forwarder) -> None:
    wait_for_spare(forwarder)
    spare = forwarder.children()[1]
    os.kill(spare, signal.SIGKILL)
    wait_until(lambda: spare not in forwarder.children(), "the end of the spare", timeout_s=5)
    assert requests(network.client, 1).total() == 1
    os.kill(forwarder.children()[0], signal.SIGKILL)
    wait_for_restart(forwarder, 1)
    assert requests(network.client, 1).total() == 1


def test_sigterm_ends_all(network: Network, tmp_path: Path) -> None:
    with running_forwarder(tmp_path, network.forwarder, base(), supervised=True) as forwarder:
        wait_for_spare(forwarder)
        children = forwarder.children()
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert not (tmp_path / "control.sock").exists()


def test_what_cannot_go_on_is_not_started_again(network: Network, tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path, network.forwarder, supervised=True)
    port = base()["ports"][0] | {"interface": "net9"}
    forwarder.write(base(ports=[port]))
    forwarder.start()
    assert forwarder.process is not None
    _, status = os.waitpid(forwarder.process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert forwarder.log.read_text().count("there is no network interface") <= 2
