"""The other driver for kernel interfaces."""

from collections import Counter
from pathlib import Path

import pytest
from live.client import ask, requests
from live.forwarder import Forwarder, base, listener, running_forwarder
from live.network import SERVERS, Network
from live.servers import UDP_PORT

from lib.net import run_in
from lib.proc import CommandError, run

REQUESTS = 1500  # about ten frames each; there are some 2,700 buffers
DATAGRAM_BYTES = 6000  # five fragments
PORT = base()["ports"][0] | {"driver": "af_xdp"}


def set_queues(network: Network, count: int) -> None:
    """Receive queues of net1; the sending end never has more, and veth insists on that at each step."""
    run_in(network.router, "ethtool", "-L", "forwarder", "tx", "1")
    run_in(network.forwarder, "ethtool", "-L", "net1", "rx", str(count))


def test_requests_pass_through_af_xdp(network: Network, tmp_path: Path) -> None:
    set_queues(network, 1)
    with running_forwarder(tmp_path, network.forwarder, base(ports=[PORT]), listener("web", SERVERS)):
        assert requests(network.client, 30) == Counter(dict.fromkeys(SERVERS, 10))


def test_every_start_sends_from_all_its_buffers(network: Network, tmp_path: Path) -> None:
    """More requests than there are buffers, so that each is sent from: those beyond what the kernel was given were lost."""
    set_queues(network, 1)
    for start in range(3):
        folder = tmp_path / str(start)
        folder.mkdir()
        with running_forwarder(folder, network.forwarder, base(ports=[PORT]), listener("web", SERVERS)):
            assert requests(network.client, REQUESTS) == Counter(dict.fromkeys(SERVERS, REQUESTS // 3))


def test_large_datagrams_pass_in_fragments(network: Network, tmp_path: Path) -> None:
    """Not by af_packet: there the kernel puts datagrams together again before the forwarder sees them."""
    set_queues(network, 1)
    text = b"0123456789" * (DATAGRAM_BYTES // 10)
    dns = listener("dns", SERVERS, port=53, backend_port=UDP_PORT, protocol="udp")
    with running_forwarder(tmp_path, network.forwarder, base(ports=[PORT]), dns) as forwarder:
        name, _, echoed = ask(network.client, 53, text).partition(b" ")
        drops = forwarder.query("stats")["drops"]
    assert name.decode() in SERVERS
    assert echoed == text
    assert drops["fragment"] == 0


def test_a_queue_that_no_worker_reads_is_refused(network: Network, tmp_path: Path) -> None:
    set_queues(network, 2)
    forwarder = Forwarder(tmp_path, network.forwarder)
    forwarder.write(base(ports=[PORT]))
    with pytest.raises(CommandError, match=r'ports\[0\] "external": .* has 2 receive queues'):
        run(*forwarder.command, timeout_s=20)
