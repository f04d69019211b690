"""Messages and settings for the agent's tests."""

from skylane_agent.settings import AgentSettings
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

SERVER_NAME = "skylane-operator.skylane.svc"


def listener(
    name: str, generation: str, *, port: int = 80, vip: str = "198.51.100.10", backends: int = 1
) -> pb.Listener:
    return pb.Listener(
        name=name,
        generation=generation,
        vip=vip,
        port=port,
        protocol="tcp",
        scheduler="wrr",
        hash_on="source",
        on_backend_removal="drain",
        arp=True,
        timeouts=pb.Timeouts(established_s=900, syn_s=60, fin_s=60, udp_s=180),
        client_address="toa",
        session_affinity_s=10800,
        max_connections=1000,
        client_limits=pb.ClientLimits(max_connections=20, new_connections_per_second=5),
        allowed_source_ranges=["192.0.2.0/24"],
        denied_source_ranges=["192.0.2.128/25"],
        backends=[
            pb.Backend(
                address=f"10.244.{index // 250}.{index % 250 + 1}", port=8080, weight=1, max_connections=50
            )
            for index in range(backends)
        ],
    )


def base(generation: str) -> pb.Base:
    port = pb.Port(
        name="external",
        driver="af_packet",
        interface="net1",
        resource="skylane.dev/nic",
        address="10.77.0.11/24",
        gateway="10.77.0.1",
        mtu=1500,
    )
    return pb.Base(
        generation=generation,
        workers=1,
        poll_mode="adaptive",
        half_open_percent=25,
        unknown_tcp="reset",
        steering="auto",
        max_flows_per_worker=1024,
        ports=[port],
        local_addresses=["10.77.0.101"],
    )


def settings(folder, address: str, **changes) -> AgentSettings:
    """Settings of an agent whose files all lie in `folder`."""
    given = {
        "operator_address": address,
        "operator_server_name": SERVER_NAME,
        "token_file": folder / "token",
        "ca_file": folder / "ca.crt",
        "config_dir": folder / "config",
        "control_socket": folder / "control.sock",
        "bird_folder": folder / "bird",
        "pod_name": "demo-skylane-0",
        "pod_namespace": "default",
        "load_balancer": "demo",
        "http_port": 0,
    }
    return AgentSettings(**given | changes)
