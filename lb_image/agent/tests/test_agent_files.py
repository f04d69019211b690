import json
import subprocess

from agent_cases import base, listener
from agent_forwarder import BINARY

from skylane_agent.config_dir import ConfigDir
from skylane_agent.config_files import base_file, listener_file


def test_files_have_exactly_the_fields_of_the_messages():
    assert base_file(base("a" * 16)) == {
        "version": 1,
        "generation": "a" * 16,
        "workers": 1,
        "poll_mode": "adaptive",
        "half_open_percent": 25,
        "unknown_tcp": "reset",
        "steering": "auto",
        "max_flows_per_worker": 1024,
        "ports": [
            {
                "name": "external",
                "driver": "af_packet",
                "interface": "net1",
                "resource": "skylane.dev/nic",
                "address": "10.77.0.11/24",
                "gateway": "10.77.0.1",
                "mtu": 1500,
            }
        ],
        "local_addresses": ["10.77.0.101"],
    }
    assert listener_file(listener("web", "b" * 16)) == {
        "version": 1,
        "name": "web",
        "generation": "b" * 16,
        "vip": "198.51.100.10",
        "port": 80,
        "protocol": "tcp",
        "scheduler": "wrr",
        "hash_on": "source",
        "on_backend_removal": "drain",
        "arp": True,
        "timeouts": {"established_s": 900, "syn_s": 60, "fin_s": 60, "udp_s": 180},
        "client_address": "toa",
        "session_affinity_s": 10800,
        "max_connections": 1000,
        "client_limits": {"max_connections": 20, "new_connections_per_second": 5},
        "allowed_source_ranges": ["192.0.2.0/24"],
        "denied_source_ranges": ["192.0.2.128/25"],
        "backends": [{"address": "10.244.0.1", "port": 8080, "weight": 1, "max_connections": 50}],
    }


def test_session_sync_is_written_only_where_there_is_one():
    message = base("a" * 16)
    assert "sync" not in base_file(message)
    message.sync.udp_port = 5407
    message.sync.key_file = "/etc/skylane-sync/key"
    message.sync.peers.add(ordinal=1, address="10.77.0.12", local_addresses=["10.77.0.102"])
    assert base_file(message)["sync"] == {
        "ordinal": 0,
        "udp_port": 5407,
        "key_file": "/etc/skylane-sync/key",
        "peers": [{"ordinal": 1, "address": "10.77.0.12", "local_addresses": ["10.77.0.102"]}],
    }


def test_fields_of_a_port_that_are_not_set_are_left_out():
    message = base("a" * 16)
    message.ports[0].ClearField("interface")
    message.ports[0].ClearField("gateway")
    assert {"interface", "gateway", "vlan"}.isdisjoint(base_file(message)["ports"][0])


def test_a_port_may_have_a_vlan():
    message = base("a" * 16)
    message.ports[0].vlan = 100
    assert base_file(message)["ports"][0]["vlan"] == 100


def test_the_forwarder_accepts_what_the_agent_writes(tmp_path):
    config_dir = ConfigDir(tmp_path)
    config_dir.prepare()
    config_dir.write_base(base_file(base("a" * 16)))
    config_dir.write_listeners(
        [
            listener_file(listener("web", "b" * 16)),
            listener_file(listener("none", "c" * 16, port=81, backends=0)),
        ]
    )
    checked = subprocess.run(
        [BINARY, "--check", tmp_path], capture_output=True, text=True, check=False, timeout=20
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert json.loads((tmp_path / "listeners/none.json").read_text())["backends"] == []
