"""The other driver for kernel interfaces."""

from collections import Counter
from pathlib import Path

from live.client import requests
from live.forwarder import base, listener, running_forwarder
from live.network import SERVERS, Network


def test_requests_pass_through_af_xdp(network: Network, tmp_path: Path) -> None:
    port = base()["ports"][0] | {"driver": "af_xdp"}
    with running_forwarder(tmp_path, network.forwarder, base(ports=[port]), listener("web", SERVERS)):
        assert requests(network.client, 30) == Counter(dict.fromkeys(SERVERS, 10))
