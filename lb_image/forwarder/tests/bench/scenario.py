"""The measured cases of both directions: UDP listeners, their backends, N flows, and the captures.

The replies are aimed at the SNAT ports that the forwarder will choose. The choice depends only on the order
of the first packets, so the pcap shell (the same core) translates the client frames once and its output is
turned round.
"""

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

from bench.frames import (
    MICROSECONDS,
    Endpoint,
    Link,
    advertisement,
    arp_reply,
    client_flows,
    read_pcap,
    replies_to,
    udp6_frames,
    udp_frames,
    write_pcap,
)
from bench.process import BenchError

VIP = IPv4Address("198.51.100.10")
VIP6 = IPv6Address("2001:db8:1::10")
VIP_PORT = 80
BACKENDS = tuple(IPv4Address(f"10.244.0.{host}") for host in (5, 6, 7))
BACKENDS6 = tuple(IPv6Address(f"fd44::{host}") for host in (5, 6, 7))
GATEWAY_MAC = bytes.fromhex("02fe00000001")
# Ports below 1024 are never used as source: 64,512 flows an address, and some left over.
FLOWS_PER_LOCAL_ADDRESS = 60_000
# A file is at least this long, so that the ARP frame in it weighs little.
MINIMUM_FRAMES = 1024
PCAP_SHELL_TIMEOUT_S = 60


@dataclass(frozen=True)
class Port:
    """A forwarder port and the gateway behind it."""

    name: str
    index: int
    address: IPv4Interface
    gateway: IPv4Address
    address6: IPv6Interface
    gateway6: IPv6Address

    def arp(self, link: Link) -> bytes:
        """Return the gateway's answer: without it the port can send nothing."""
        return arp_reply(self.gateway, self.address.ip, link)

    def advertisement(self, link: Link) -> bytes:
        """Return the same for IPv6."""
        return advertisement(self.gateway6, self.address6.ip, link)


def net_pcap_link(port: Port) -> Link:
    """From the gateway to a net_pcap port: its Ethernet addresses start with 02:70:63:61:70:00."""
    return Link(GATEWAY_MAC, b"\x02pcap" + bytes((port.index,)))


def pcap_shell_link(port: Port) -> Link:
    """From the gateway to a port of the pcap shell: its Ethernet addresses start with 02:00:00:00:00:01."""
    return Link(GATEWAY_MAC, bytes((2, 0, 0, 0, 0, port.index + 1)))


EXTERNAL = Port(
    "external",
    0,
    IPv4Interface("10.77.0.11/24"),
    IPv4Address("10.77.0.1"),
    IPv6Interface("2001:db8:77::b/64"),
    IPv6Address("2001:db8:77::1"),
)
INTERNAL = Port(
    "internal",
    1,
    IPv4Interface("10.78.0.11/16"),
    IPv4Address("10.78.0.1"),
    IPv6Interface("2001:db8:78::b/64"),
    IPv6Address("2001:db8:78::1"),
)


@dataclass(frozen=True)
class Captures:
    """An input file for each port; `frames` counts all, ARP included."""

    flows: int
    paths: tuple[Path, ...]
    frames: int


@dataclass(frozen=True)
class Services:
    """So many listeners, at consecutive ports of the VIP, each with so many backends of its own; all of one family."""

    count: int = 1
    backends: int = len(BACKENDS)
    ipv6: bool = False

    @property
    def vip(self) -> IPv4Address | IPv6Address:
        """The virtual address."""
        return VIP6 if self.ipv6 else VIP

    def next_hop(self, port: Port, link: Link) -> bytes:
        """Return the answer of the port's gateway."""
        return port.advertisement(link) if self.ipv6 else port.arp(link)

    def frames(self, flows: Iterable[tuple[Endpoint, Endpoint]], link: Link) -> Iterator[bytes]:
        """Yield a frame for each flow."""
        return udp6_frames(flows, link) if self.ipv6 else udp_frames(flows, link)

    def addresses(self, number: int) -> list[str]:
        """Backends of one listener."""
        if self.ipv6:
            return [str(address) for address in BACKENDS6]
        if self.count == 1 and self.backends == len(BACKENDS):
            return [str(address) for address in BACKENDS]
        first = IPv4Address("10.100.0.1") + number * self.backends
        return [str(first + index) for index in range(self.backends)]


ONE_SERVICE = Services()
ONE_SERVICE_IPV6 = Services(ipv6=True)


def local_addresses(flows: int, *, ipv6: bool = False) -> list[str]:
    """Return enough SNAT addresses, in the subnet of the internal port."""
    count = -(-flows // FLOWS_PER_LOCAL_ADDRESS)
    if ipv6:
        return [str(IPv6Address("2001:db8:78::65") + index) for index in range(count)]
    return [str(IPv4Address("10.78.1.1") + index) for index in range(count)]


def base_json(flows: int, devices: tuple[str, ...], *, ipv6: bool = False) -> dict[str, Any]:
    """Return the base configuration for one busy worker, with local addresses of one family."""
    return {
        "version": 1,
        "generation": "00000000000000b0",
        "workers": 1,
        "poll_mode": "busy",
        "max_flows_per_worker": max(65_536, flows + flows // 64),
        "ports": [
            {
                "name": port.name,
                "driver": "vdev",
                "device": device,
                "address": str(port.address),
                "gateway": str(port.gateway),
                "address6": str(port.address6),
                "gateway6": str(port.gateway6),
                "mtu": 1500,
            }
            for port, device in zip((EXTERNAL, INTERNAL), devices, strict=False)
        ],
        "local_addresses": local_addresses(flows, ipv6=ipv6),
    }


def listener_json(services: Services, number: int, protocol: str = "udp") -> dict[str, Any]:
    """Return one listener."""
    return {
        "version": 1,
        "name": f"bench-{number}",
        "generation": "00000000000000b1",
        "vip": str(services.vip),
        "port": VIP_PORT + number,
        "protocol": protocol,
        "scheduler": "wrr",
        "arp": True,
        "timeouts": {"established_s": 900, "syn_s": 60, "fin_s": 60, "udp_s": 180},
        "backends": [{"address": a, "port": 8080, "weight": 1} for a in services.addresses(number)],
    }


def write_files(folder: Path, base: dict[str, Any], listeners: list[dict[str, Any]]) -> Path:
    """Write a configuration folder and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "listeners").mkdir(parents=True)
    (folder / "base.json").write_text(json.dumps(base, indent=1))
    for listener in listeners:
        (folder / "listeners" / f"{listener['name']}.json").write_text(json.dumps(listener, indent=1))
    return folder


def write_config(
    folder: Path, flows: int, devices: tuple[str, ...], services: Services = ONE_SERVICE
) -> Path:
    """Write the configuration folder of the UDP cases and return it."""
    listeners = [listener_json(services, number) for number in range(services.count)]
    return write_files(folder, base_json(flows, devices, ipv6=services.ipv6), listeners)


def client_frames(flows: int, link: Link, services: Services = ONE_SERVICE) -> list[bytes]:
    """Return one frame a flow, as the clients send them."""
    flow_pairs = client_flows(flows, Endpoint(int(services.vip), VIP_PORT), services.count)
    return list(services.frames(flow_pairs, link))


def translated(pcap_shell: Path, config: Path, inputs: dict[str, list[bytes]], work: Path) -> dict[str, Path]:
    """Run frames through the pcap shell; return what each port sent, as files. The first frame comes at second 1.

    Raises:
        BenchError: the pcap shell fails.
    """
    command, outputs = [str(pcap_shell), "--config-dir", str(config)], {}
    for name, frames in inputs.items():
        sent, outputs[name] = work / f"in-{name}.pcap", work / f"out-{name}.pcap"
        # What comes in on the internal port, the answer to ARP, comes before the clients.
        start_us = MICROSECONDS * (2 if name == EXTERNAL.name else 1)
        write_pcap(sent, frames, times_us=itertools.count(start_us))
        command += ["--port", f"{name}={sent}:{outputs[name]}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PCAP_SHELL_TIMEOUT_S, check=False)
    if run.returncode:
        raise BenchError(f"{command} ended with {run.returncode}: {run.stderr[-2000:]}")
    return outputs


def reply_flows(
    pcap_shell: Path, flows: int, work: Path, services: Services = ONE_SERVICE
) -> list[tuple[Endpoint, Endpoint]]:
    """Return what the backends answer to the first packet of each flow, in the same order.

    Raises:
        BenchError: the pcap shell fails, or does not translate every flow.
    """
    config = write_config(work / "config-pcap", flows, ("net_null0", "net_null1"), services)
    external, internal = pcap_shell_link(EXTERNAL), pcap_shell_link(INTERNAL)
    inputs = {
        "external": client_frames(flows, external, services),
        "internal": [services.next_hop(INTERNAL, internal)],
    }
    replies = list(replies_to(read_pcap(translated(pcap_shell, config, inputs, work)["internal"])))
    if len(replies) != flows:
        raise BenchError(f"{flows} flows were sent, {len(replies)} came out of the pcap shell")
    return replies


def laps(frames: list[bytes], arp: bytes) -> list[bytes]:
    """Return the frames of an endless file: whole laps over the flows, and one ARP frame."""
    return [arp, *frames * -(-MINIMUM_FRAMES // len(frames))]


def mirrored(flows: int) -> list[tuple[Endpoint, Endpoint]]:
    """Return replies as if nothing were translated: enough for testpmd, which looks at no header."""
    pairs = client_flows(flows, Endpoint(int(VIP), VIP_PORT))
    return [(there, here) for here, there in pairs]


def captures(pcap_shell: Path | None, flows: int, work: Path, services: Services = ONE_SERVICE) -> Captures:
    """Write the input of both ports; without a pcap shell only testpmd can use it.

    Raises:
        BenchError: the forwarder did not translate every flow.
    """
    external, internal = net_pcap_link(EXTERNAL), net_pcap_link(INTERNAL)
    back = reply_flows(pcap_shell, flows, work, services) if pcap_shell else mirrored(flows)
    sent, replies = client_frames(flows, external, services), list(services.frames(back, internal))
    paths = (work / f"external-{flows}.pcap", work / f"internal-{flows}.pcap")
    count = write_pcap(paths[0], laps(sent, services.next_hop(EXTERNAL, external)))
    count += write_pcap(paths[1], laps(replies, services.next_hop(INTERNAL, internal)))
    return Captures(flows, paths, count)
