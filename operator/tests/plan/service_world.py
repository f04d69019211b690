"""Services of type LoadBalancer and pools, as small as they can be."""

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service
from skylane_operator.model.load_balancer import ServicesPolicy
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.address_inputs import AddressInputs
from skylane_operator.plan.askers import service_asker
from skylane_operator.plan.service_types import ADDRESS_ASSIGNED

EDGE = Key("net", "edge")


def service(
    name="web",
    namespace="shop",
    *,
    created=1,
    ports=((80, "TCP"),),
    recorded=None,
    families=("IPv4",),
    **annotations,
):
    status = {}
    if recorded:
        status = {
            "loadBalancer": {"ingress": [{"ip": one, "ipMode": "VIP"} for one in recorded.split(",")]},
            "conditions": [{"type": ADDRESS_ASSIGNED, "status": "True"}],
        }
    return Service.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": f"2026-01-01T00:00:{created:02}Z",
                "annotations": {
                    f"skylane.dev/{key.replace('_', '-')}": value for key, value in annotations.items()
                },
                "labels": {"app": name},
            },
            "spec": {
                "type": "LoadBalancer",
                "ipFamilies": families,
                "ports": [
                    {"name": f"p{port}-{protocol.lower()}", "port": port, "protocol": protocol}
                    for port, protocol in ports
                ],
            },
            "status": status,
        }
    )


def pool(name="public", *addresses, **spec):
    body = {"metadata": {"name": name}, "spec": {"addresses": addresses or ("192.0.2.0/30",), **spec}}
    return VirtualIPPool.model_validate(body)


def address_inputs(*services, pools=None, policy=None, wanted=EDGE, **rest):
    offered = policy or {"pools": ["public"], "namespaces": {"from": "All"}}
    return AddressInputs(
        askers=tuple(service_asker(one, wanted) for one in services),
        load_balancers=rest.pop("load_balancers", {EDGE: ServicesPolicy.model_validate(offered)}),
        dual_stack=rest.pop("dual_stack", frozenset({EDGE})),
        pools={one.metadata.name: one for one in pools or [pool()]},
        **rest,
    )
