"""The plan: everything that is decided about one LoadBalancer."""

from skylane_operator.plan.base import base_for, ordinals_with_addresses, template_generation
from skylane_operator.plan.checks import base_rejections
from skylane_operator.plan.listeners import forwarder_listener, listeners_for
from skylane_operator.plan.names import pod_name
from skylane_operator.plan.peers import peers_for
from skylane_operator.plan.placement import placement_for
from skylane_operator.plan.requests import pod_requests
from skylane_operator.plan.types import Inputs, Plan, PodPlan


def plan_for(inputs: Inputs) -> Plan:
    """Decide. Equal inputs give equal plans, generations included."""
    load_balancer = inputs.load_balancer
    spec = load_balancer.spec
    listeners, listener_rejections = listeners_for(inputs)
    peers, peer_rejections = peers_for(inputs)
    requests = pod_requests(spec.dataplane)
    ordinals = range(ordinals_with_addresses(spec))
    # Pods differ in who owns the VIPs only; all that do not share one set of files.
    files = {
        arp: tuple(forwarder_listener(listener, arp=arp) for listener in listeners)
        for arp in {ordinal == inputs.vip_owner for ordinal in ordinals}
    }
    pods = tuple(
        PodPlan(
            ordinal=ordinal,
            name=pod_name(load_balancer.key.name, ordinal),
            base=base_for(spec.dataplane, ordinal),
            listeners=files[ordinal == inputs.vip_owner],
            owns_vips=ordinal == inputs.vip_owner,
            routing=peers.routing_of(pod_name(load_balancer.key.name, ordinal)),
        )
        for ordinal in ordinals
    )
    return Plan(
        load_balancer=load_balancer,
        pods=pods,
        listeners=listeners,
        rejected=base_rejections(inputs) + listener_rejections + peer_rejections,
        requests=requests,
        placement=placement_for(inputs, requests),
        template_generation=template_generation(spec.dataplane),
        peers=peers.usable,
    )
