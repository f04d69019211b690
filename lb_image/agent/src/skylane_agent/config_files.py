"""The stream's messages as the forwarder's JSON files. The field names are equal."""

from typing import Any

from skylane_api.forwarder.v1 import forwarder_pb2 as pb

Json = dict[str, Any]

FORMAT_VERSION = 1


def base_file(base: pb.Base) -> Json:
    """base.json of a message."""
    return {
        "version": FORMAT_VERSION,
        "generation": base.generation,
        "workers": base.workers,
        "poll_mode": base.poll_mode,
        "max_flows_per_worker": base.max_flows_per_worker,
        "half_open_percent": base.half_open_percent,
        "unknown_tcp": base.unknown_tcp,
        "steering": base.steering,
        "ports": [_port(port) for port in base.ports],
        "local_addresses": list(base.local_addresses),
        **({"sync": _sync(base.sync)} if base.HasField("sync") else {}),
    }


def _sync(sync: pb.Sync) -> Json:
    return {
        "ordinal": sync.ordinal,
        "udp_port": sync.udp_port,
        "key_file": sync.key_file,
        "peers": [
            {
                "ordinal": peer.ordinal,
                "address": peer.address,
                "local_addresses": list(peer.local_addresses),
            }
            for peer in sync.peers
        ],
    }


def _port(port: pb.Port) -> Json:
    """Return the fields that are set: which are allowed depends on the driver, and "" is not none."""
    fields = {
        "name": port.name,
        "driver": port.driver,
        "interface": port.interface,
        "resource": port.resource,
        "address": port.address,
        "gateway": port.gateway,
        "address6": port.address6,
        "gateway6": port.gateway6,
        "mtu": port.mtu,
        "vlan": port.vlan,
    }
    return {name: value for name, value in fields.items() if value}


def listener_file(listener: pb.Listener) -> Json:
    """listeners/<name>.json of a message."""
    timeouts = listener.timeouts
    return {
        "version": FORMAT_VERSION,
        "name": listener.name,
        "generation": listener.generation,
        "vip": listener.vip,
        "port": listener.port,
        "protocol": listener.protocol,
        "scheduler": listener.scheduler,
        "hash_on": listener.hash_on,
        "on_backend_removal": listener.on_backend_removal,
        "arp": listener.arp,
        "timeouts": {
            "established_s": timeouts.established_s,
            "syn_s": timeouts.syn_s,
            "fin_s": timeouts.fin_s,
            "udp_s": timeouts.udp_s,
        },
        "client_address": listener.client_address or "none",
        "session_affinity_s": listener.session_affinity_s,
        "max_connections": listener.max_connections,
        "client_limits": {
            "max_connections": listener.client_limits.max_connections,
            "new_connections_per_second": listener.client_limits.new_connections_per_second,
        },
        "allowed_source_ranges": list(listener.allowed_source_ranges),
        "denied_source_ranges": list(listener.denied_source_ranges),
        "backends": [_backend(backend) for backend in listener.backends],
    }


def _backend(backend: pb.Backend) -> Json:
    return {
        "address": backend.address,
        "port": backend.port,
        "weight": backend.weight,
        "max_connections": backend.max_connections,
    }
