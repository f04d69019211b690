"""What BIRD is given, held equal to a file that a reader can judge; BIRD's own parser judges it too."""

import subprocess
from pathlib import Path

import pytest
from agent_bird import peer

from skylane_agent.config_dir import NicAddresses
from skylane_agent.routes.bird_config import ROUTES_FILES, bird_conf, routes_confs

NIC = NicAddresses("10.77.0.11", "2001:db8:77::11")
GOLDEN = Path(__file__).parent / "golden/bird.conf"
PEERS = (
    peer(communities=["64512:100", "64512:1:2"], med=0, as_path_prepend=2, graceful_restart=True),
    peer(
        "rack.2-b",
        address="10.99.0.3",
        port=1179,
        peer_asn=4200000001,
        password="",
        keepalive_time_s=0,
        multihop=False,
        local_pref=4294967295,
    ),
)


def test_configuration_is_the_golden_one():
    assert bird_conf(PEERS, NIC) == GOLDEN.read_text()


def test_bird_takes_it(tmp_path):
    (tmp_path / "bird.conf").write_text(bird_conf(PEERS, NIC))
    for version, text in routes_confs({"198.51.100.10", "2001:db8::10"}).items():
        (tmp_path / ROUTES_FILES[version]).write_text(text)
    subprocess.run(["bird", "-p", "-c", tmp_path / "bird.conf"], check=True)


def test_routes_are_in_the_order_of_their_addresses():
    assert routes_confs({"198.51.100.10", "198.51.100.9", "2001:db8::10"}) == {
        4: "route 198.51.100.9/32 blackhole;\nroute 198.51.100.10/32 blackhole;\n",
        6: "route 2001:db8::10/128 blackhole;\n",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 'a\'; include "/etc/passwd"; #'},
        {"name": ""},
        {"password": 'x"; } include "/etc/shadow'},
        {"password": "two\nlines"},
        {"password": "x" * 81},
        {"communities": ["1:2)); reject; #"]},
        {"address": "10.0.0.1 as 1; #"},
    ],
)
def test_nothing_ends_what_it_stands_in(changes):
    with pytest.raises(ValueError, match=r"."):
        bird_conf([peer(**changes)], NIC)


def test_a_vip_that_is_no_address_is_refused():
    with pytest.raises(ValueError, match="reject"):
        routes_confs({"198.51.100.10/32 reject; #"})
