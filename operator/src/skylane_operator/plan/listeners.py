"""Which listeners are served, and with which endpoints."""

from collections.abc import Iterator

from skylane_operator.model.address import IPV6
from skylane_operator.model.forwarder import (
    NO_LIMIT,
    ForwarderClientAddress,
    ForwarderClientLimits,
    ForwarderListener,
    ForwarderTimeouts,
)
from skylane_operator.model.listener_policy import ClientAddress
from skylane_operator.model.load_balancer import Listener, VirtualEndpoint
from skylane_operator.plan.backends import listener_plan_for
from skylane_operator.plan.checks import senior_claims
from skylane_operator.plan.claims import Claims
from skylane_operator.plan.generation import with_generation
from skylane_operator.plan.health_checks import agent_health_check
from skylane_operator.plan.types import Blocks, Inputs, ListenerPlan, Reason, Rejected

CLIENT_ADDRESSES: dict[ClientAddress, ForwarderClientAddress] = {
    ClientAddress.NONE: "none",
    ClientAddress.TOA: "toa",
    ClientAddress.PROXY_V2: "proxy_v2",
}


def listeners_for(inputs: Inputs) -> tuple[tuple[ListenerPlan, ...], tuple[Rejected, ...]]:
    """The listeners that are served, in the order of the spec, and everything that was rejected in them."""
    served: list[ListenerPlan] = []
    rejected: list[Rejected] = []
    taken: dict[VirtualEndpoint, str] = {}
    seniors = senior_claims(inputs)
    for index, listener in enumerate(inputs.load_balancer.spec.listeners):
        path = f"spec.listeners[{index}]"
        conflict = _conflict(inputs, listener, path, seniors, taken)
        if conflict is not None:
            rejected.append(conflict)
            continue
        taken[listener.endpoint] = listener.name
        planned, unresolved = listener_plan_for(inputs, listener, path)
        rejected.extend(unresolved)
        served.append(planned)
    return tuple(served), tuple(rejected)


def forwarder_listener(plan: ListenerPlan, *, arp: bool) -> ForwarderListener:
    """The listener's file; `arp` for the pod that answers ARP for the VIP."""
    listener = plan.listener
    return with_generation(
        ForwarderListener(
            name=listener.name,
            vip=listener.vip,
            port=listener.port,
            protocol="tcp" if listener.protocol == "TCP" else "udp",
            scheduler=listener.scheduler,
            hash_on=listener.hash_on,
            on_backend_removal=listener.on_backend_removal,
            arp=arp,
            timeouts=ForwarderTimeouts(
                established_s=listener.timeouts.established_seconds,
                syn_s=listener.timeouts.syn_seconds,
                fin_s=listener.timeouts.fin_seconds,
                udp_s=listener.timeouts.udp_seconds,
            ),
            client_address=CLIENT_ADDRESSES[listener.client_address],
            session_affinity_s=listener.session_affinity.effective_seconds,
            max_connections=listener.max_connections or NO_LIMIT,
            client_limits=ForwarderClientLimits(
                max_connections=listener.client_limits.max_connections or NO_LIMIT,
                new_connections_per_second=listener.client_limits.new_connections_per_second or NO_LIMIT,
            ),
            allowed_source_ranges=listener.allowed_source_ranges,
            denied_source_ranges=listener.denied_source_ranges,
            backends=plan.backends,
            health_check=agent_health_check(listener.health_check),
        )
    )


def distinct_endpoints(listeners: tuple[ListenerPlan, ...]) -> set[tuple[str, int]]:
    """Address and port of every endpoint behind any listener, but those that drain."""
    return {(b.address, b.port) for plan in listeners for b in plan.staying}


def _conflict(
    inputs: Inputs,
    listener: Listener,
    path: str,
    seniors: tuple[Claims, ...],
    taken: dict[VirtualEndpoint, str],
) -> Rejected | None:
    """The first thing that keeps the listener from being served, if there is one."""
    for field, reason, message in _conflicts(inputs, listener, seniors, taken):
        return Rejected(
            key=inputs.load_balancer.key,
            field=f"{path}.{field}",
            reason=reason,
            message=f"listener {listener.name}: {path}.{field}: {message}",
            blocks=Blocks.LISTENER,
            listener=listener.name,
        )
    return None


def _conflicts(
    inputs: Inputs, listener: Listener, seniors: tuple[Claims, ...], taken: dict[VirtualEndpoint, str]
) -> Iterator[tuple[str, Reason, str]]:
    where = f"{listener.vip}:{listener.port}/{listener.protocol}"
    if listener.endpoint in taken:
        yield (
            "port",
            Reason.LISTENER_CONFLICT,
            f"{where} is already served by listener {taken[listener.endpoint]}; choose another port or VIP",
        )
    yield from _inside(inputs, listener)
    if listener.vip in inputs.assigned_addresses:
        owner = inputs.assigned_addresses[listener.vip]
        yield (
            "vip",
            Reason.ADDRESS_CONFLICT,
            f"{listener.vip} is assigned to {owner}; choose another VIP, or one outside the pool",
        )
    for other in seniors:
        if listener.endpoint in other.endpoints:
            yield (
                "port",
                Reason.LISTENER_CONFLICT,
                f"{where} belongs to the older LoadBalancer {other.key}; choose another VIP, or remove it there",
            )
        if listener.vip in other.vips or listener.vip in other.pod_addresses:
            yield (
                "vip",
                Reason.ADDRESS_CONFLICT,
                (
                    f"{listener.vip} belongs to the older LoadBalancer {other.key}, and an address leads to the pods of one "
                    "LoadBalancer only; choose another VIP, or put this listener there"
                ),
            )


def _inside(inputs: Inputs, listener: Listener) -> Iterator[tuple[str, Reason, str]]:
    dataplane = inputs.load_balancer.spec.dataplane
    if listener.vip.version == IPV6 and not dataplane.local_addresses_ipv6:
        yield (
            "vip",
            Reason.INVALID,
            f"{listener.vip} needs spec.dataplane.localAddressesIPv6, from which connections to backends are made; add them",
        )
    if listener.vip in dataplane.all_local_addresses:
        yield (
            "vip",
            Reason.VIP_IN_LOCAL_RANGE,
            (
                f"{listener.vip} is one of spec.dataplane.localAddresses, from which connections to backends are made; "
                "choose an address that is not"
            ),
        )
    for index, network in enumerate(dataplane.networks):
        if listener.vip in network.gateways or any(
            listener.vip == address.ip for address in network.own_addresses
        ):
            yield (
                "vip",
                Reason.ADDRESS_CONFLICT,
                f"{listener.vip} is an address or the gateway of spec.dataplane.networks[{index}]; choose another VIP",
            )
