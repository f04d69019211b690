"""A forwarder that is killed and started again: flows go on where they were."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from live.client import greeting, requests
from live.forwarder import Forwarder, base, listener, running_forwarder
from live.namespaces import bound, connected
from live.network import CLIENT_ADDRESS, SERVERS, VIP, Network
from live.stream import long_stream

from lib.proc import run, wait_until

# Of the stream. Alone on the machine it is some 300 ms; tests share its cores with others.
GAP_MAX_S = 3
IDLE = 5
LAYOUT_AT = 8  # in the file: struct flow_header


def adoption(forwarder: Forwarder) -> dict[str, Any]:
    return dict(forwarder.query("stats")["adoption"])


def restart(forwarder: Forwarder) -> dict[str, Any]:
    """Kill it, start it again at once, and tell what it took over."""
    forwarder.kill()
    forwarder.start()
    forwarder.wait_for("running")
    return adoption(forwarder)


@contextmanager
def idle_connections(network: Network, count: int) -> Iterator[Sequence[socket.socket]]:
    """Connections on which nothing is said; all have greeted."""
    with ExitStack() as stack:
        made = [stack.enter_context(connected(network.client, (VIP, 80))) for _ in range(count)]
        for connection in made:
            assert greeting(connection) in SERVERS
        yield made


def echoes(connection: socket.socket) -> bool:
    connection.sendall(b"still there?\n")
    return connection.recv(64) == b"still there?\n"


def datagram(client: socket.socket) -> bytes:
    """The answer to one datagram; begins with the backend's name."""
    client.sendto(b"who", (VIP, 53))
    return client.recvfrom(64)[0]


def test_flows_outlive_kill_9(network: Network, forwarder: Forwarder) -> None:
    with (
        idle_connections(network, IDLE) as idle,
        bound(network.client, socket.SOCK_DGRAM, (CLIENT_ADDRESS, 0)) as udp,
        long_stream(network) as stream,
    ):
        udp.settimeout(5)
        first = datagram(udp)
        assert adoption(forwarder)["verdict"] == "none"
        taken = restart(forwarder)
        before = stream.lines
        wait_until(lambda: stream.lines > before + 10 or stream.fault, "more lines", timeout_s=10)
        assert not stream.fault
        assert all(echoes(connection) for connection in idle)
        assert datagram(udp) == first
    assert (taken["verdict"], taken["adopted_flows"]) == ("adopted", IDLE + 2)
    assert (taken["ended_flows"], taken["damaged_flows"]) == (0, 0)
    assert stream.longest_s < GAP_MAX_S
    assert forwarder.query("stats")["answers"]["resets"] == 0


def test_another_layout_is_refused(network: Network, forwarder: Forwarder) -> None:
    with idle_connections(network, 1) as (old,):
        forwarder.kill()
        with forwarder.flow_file.open("r+b") as file:
            file.seek(LAYOUT_AT)
            (layout,) = struct.unpack("<I", file.read(4))
            file.seek(LAYOUT_AT)
            file.write(struct.pack("<I", layout + 1))
        forwarder.start()
        forwarder.wait_for("running")
        assert adoption(forwarder)["verdict"] == f"refused: layout was {layout + 1} and is {layout} now"
        assert adoption(forwarder)["adopted_flows"] == 0
        forwarder.wait_for_gateway()
        with pytest.raises(ConnectionResetError):
            echoes(old)
    assert requests(network.client, 3).total() == 3
    assert restart(forwarder)["verdict"] == "adopted"


def test_another_base_is_refused(network: Network, forwarder: Forwarder) -> None:
    forwarder.kill()
    forwarder.write(base(max_flows_per_worker=8192))
    forwarder.start()
    forwarder.wait_for("running")
    assert adoption(forwarder)["verdict"] == "refused: max_flows_per_worker was 16384 and is 8192 now"
    forwarder.wait_for_gateway()
    assert requests(network.client, 3).total() == 3


@pytest.mark.parametrize("on_removal", ["drain", "reset"])
def test_a_backend_that_went_meanwhile(network: Network, forwarder: Forwarder, on_removal: str) -> None:
    with idle_connections(network, len(SERVERS)) as connections:
        forwarder.kill()
        forwarder.write(listener("web", SERVERS[:1], on_backend_removal=on_removal))
        forwarder.start()
        forwarder.wait_for("running")
        taken, gone = adoption(forwarder), len(SERVERS) - 1
        if on_removal == "drain":
            assert (taken["adopted_flows"], taken["ended_flows"]) == (len(SERVERS), 0)
            assert all(echoes(connection) for connection in connections)
        else:
            assert (taken["adopted_flows"], taken["ended_flows"]) == (1, gone)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Path]:
    """A file system of memory that has no room for flows."""
    folder = tmp_path / "narrow"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder))
    yield folder
    run("umount", str(folder))


def test_without_room_for_the_file_it_runs_without(network: Network, narrow: Path) -> None:
    """And gives back what it had got of it."""
    with running_forwarder(narrow, network.forwarder, base(), listener("web", SERVERS)) as forwarder:
        assert adoption(forwarder)["verdict"].endswith("MiB: No space left on device")
        assert forwarder.flow_file.stat().st_size == 0
        assert requests(network.client, 3).total() == 3
