"""The case of new TCP connections: each lives for six packets, SYN to FIN, and then its client's port is used again.

One port carries all, so that the six come in order. There are as many connections as local ports: in every lap a SYN ends the
closed connection of the lap before and gets the local port that this one gave back, so that the replies fit for ever.
"""

from ipaddress import IPv4Address
from pathlib import Path

from bench.frames import Endpoint, client_flows, read_pcap, replies_to, tcp_frame, write_pcap
from bench.process import BenchError
from bench.scenario import (
    EXTERNAL,
    ONE_SERVICE,
    VIP,
    VIP_PORT,
    Captures,
    base_json,
    listener_json,
    net_pcap_link,
    pcap_shell_link,
    translated,
    write_files,
)

CONNECTIONS = 65_536 - 1_024
LOCAL = IPv4Address("10.77.0.101")
FIN, SYN, ACK = 1, 2, 16
# Who sends (True: the client), and the flags, in order.
SEGMENTS = (
    (True, SYN),
    (False, SYN | ACK),
    (True, ACK),
    (True, FIN | ACK),
    (False, FIN | ACK),
    (True, ACK),
)


def write_connections_config(folder: Path, device: str) -> Path:
    """Write the configuration folder: one port, one local address, a flow for each of its ports."""
    base = base_json(CONNECTIONS, (device,))
    base |= {"local_addresses": [str(LOCAL)], "max_flows_per_worker": CONNECTIONS}
    return write_files(folder, base, [listener_json(ONE_SERVICE, 0, "tcp")])


def connection_captures(pcap_shell: Path, work: Path) -> Captures:
    """Write the input of the port.

    Raises:
        BenchError: the forwarder did not translate every SYN.
    """
    clients = list(client_flows(CONNECTIONS, Endpoint(int(VIP), VIP_PORT)))
    link = pcap_shell_link(EXTERNAL)
    sent = [EXTERNAL.arp(link), *(tcp_frame(*flow, SYN, link) for flow in clients)]
    config = write_connections_config(work / "config-pcap", "net_null0")
    output = translated(pcap_shell, config, {"external": sent}, work)["external"]
    backends = list(replies_to(read_pcap(output)))
    if len(backends) != CONNECTIONS:
        raise BenchError(f"{CONNECTIONS} SYNs were sent, {len(backends)} came out of the pcap shell")
    link = net_pcap_link(EXTERNAL)
    frames = [EXTERNAL.arp(link)]
    for client, backend in zip(clients, backends, strict=True):
        frames += [
            tcp_frame(*(client if from_client else backend), flags, link) for from_client, flags in SEGMENTS
        ]
    path = work / "connections.pcap"
    return Captures(CONNECTIONS, (path,), write_pcap(path, frames))
