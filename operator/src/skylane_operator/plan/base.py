"""The base configuration of each pod: its devices, its own address and its slice of the local addresses."""

from skylane_operator.model.address import IPAddress
from skylane_operator.model.forwarder import ForwarderBase, ForwarderPeer, ForwarderPort, ForwarderSync
from skylane_operator.model.load_balancer import SYNCED_PODS_MAX, Dataplane, LoadBalancerSpec
from skylane_operator.plan.generation import digest_of, with_generation

# Where the forwarder's container has the key of its LoadBalancer's session sync.
SYNC_KEY_FILE = "/etc/skylane-sync/key"


def interface_name(network_index: int) -> str:
    """Name that Multus is asked to give to the interface inside the pod."""
    return f"net{network_index + 1}"


def ordinals_with_addresses(spec: LoadBalancerSpec) -> int:
    """For how many pods the addresses of the spec are enough; at most `replicas`."""
    return min(spec.replicas, _ordinals_provided_for(spec.dataplane))


def _ordinals_provided_for(dataplane: Dataplane) -> int:
    """For how many pods the addresses are enough."""
    own = [network.addresses for network in dataplane.networks]
    own_ipv6 = [network.ipv6.addresses for network in dataplane.networks if network.ipv6]
    local = [
        dataplane.local_addresses,
        *([dataplane.local_addresses_ipv6] if dataplane.local_addresses_ipv6 else []),
    ]
    per_replica = dataplane.local_addresses_per_replica
    return min(*map(len, own), *map(len, own_ipv6), *(len(given) // per_replica for given in local))


def base_for(dataplane: Dataplane, ordinal: int) -> ForwarderBase:
    """Base of the pod `ordinal`, which must be below ordinals_with_addresses()."""
    return with_generation(
        ForwarderBase(
            workers=dataplane.workers,
            poll_mode=dataplane.effective_poll_mode,
            max_flows_per_worker=dataplane.max_flows_per_worker,
            half_open_percent=dataplane.max_half_open_percent,
            unknown_tcp=dataplane.unknown_tcp,
            steering=dataplane.steering,
            ports=tuple(
                ForwarderPort(
                    name=network.name,
                    driver=network.driver,
                    interface=interface_name(index),
                    resource=network.resource_name,
                    address=network.addresses[ordinal],
                    gateway=network.gateway,
                    address6=network.ipv6.addresses[ordinal] if network.ipv6 else None,
                    gateway6=network.ipv6.gateway if network.ipv6 else None,
                    vlan=network.vlan,
                )
                for index, network in enumerate(dataplane.networks)
            ),
            local_addresses=_local_addresses(dataplane, ordinal),
            sync=_sync(dataplane, ordinal) if syncs(dataplane) else None,
        )
    )


def _local_addresses(dataplane: Dataplane, ordinal: int) -> tuple[IPAddress, ...]:
    count = dataplane.local_addresses_per_replica
    return tuple(
        address
        for given in (dataplane.local_addresses, dataplane.local_addresses_ipv6)
        for address in given[ordinal * count : (ordinal + 1) * count]
    )


def syncs(dataplane: Dataplane) -> bool:
    """Whether its pods shall know one another's flows, and there may be more than one."""
    return dataplane.session_sync.enabled and _synced_ordinals(dataplane) > 1


def _synced_ordinals(dataplane: Dataplane) -> int:
    """All that there are addresses for, whatever `replicas` is: to scale within them then touches no pod that runs."""
    return min(SYNCED_PODS_MAX, _ordinals_provided_for(dataplane))


def _sync(dataplane: Dataplane, ordinal: int) -> ForwarderSync:
    return ForwarderSync(
        ordinal=ordinal,
        udp_port=dataplane.session_sync.udp_port,
        key_file=SYNC_KEY_FILE,
        peers=tuple(
            ForwarderPeer(
                ordinal=other,
                address=dataplane.networks[0].addresses[other].ip,
                local_addresses=_local_addresses(dataplane, other),
            )
            for other in range(_synced_ordinals(dataplane))
            if other != ordinal
        ),
    )


def template_generation(dataplane: Dataplane) -> str:
    """Digest of what the bases of all ordinals have in common.

    Addresses are left out: they differ by ordinal, and more of them at the end of a list (to scale out) must not
    replace the pods that run. A network without a VLAN counts as it did before there were any.
    """
    own = {"addresses", "local_addresses", "local_addresses_ipv6", "node_selector", "tolerations"}
    networks = [
        network.model_dump(
            mode="json", exclude={"addresses": True, "ipv6": {"addresses"}, "vlan": network.vlan is None}
        )
        for network in dataplane.networks
    ]
    if not syncs(dataplane):
        own.add("session_sync")  # pods without are what they were before there was any
    common = dataplane.model_dump(mode="json", exclude=own | {"networks"})
    return digest_of({**common, "networks": networks})
