from ipaddress import ip_address

from service_world import EDGE, address_inputs, service

from skylane_operator.model.gateway import Gateway
from skylane_operator.model.key import Key, gateway_owner, service_owner
from skylane_operator.plan.addresses import assign_addresses
from skylane_operator.plan.askers import gateway_asker
from skylane_operator.plan.service_types import Assigned


def gateway(name="front", *, namespace="shop", created=1, recorded=None, ports=(80,), ours=True, **more):
    status = {}
    if recorded:
        conditions = [{"type": "skylane.dev/AddressAssigned", "status": "True"}] if ours else []
        status = {"addresses": [{"type": "IPAddress", "value": recorded}], "conditions": conditions}
    return Gateway.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": f"2026-01-01T00:00:{created:02}Z",
                "annotations": more.pop("annotations", {}),
            },
            "spec": {
                "gatewayClassName": "edge",
                "listeners": [{"name": f"tcp-{port}", "protocol": "TCP", "port": port} for port in ports],
                **more,
            },
            "status": status,
        }
    )


def outcome(*gateways, services=(), **given):
    inputs = address_inputs(*services, **given)
    askers = (*inputs.askers, *(gateway_asker(one, EDGE) for one in gateways))
    found = assign_addresses(type(inputs)(**{**_fields(inputs), "askers": askers}))
    return {
        str(owner): str(one.address) if isinstance(one, Assigned) else str(one.reason)
        for owner, one in found.items()
    }


def _fields(inputs):
    return {name: getattr(inputs, name) for name in inputs.__dataclass_fields__}


def test_gateways_and_services_of_one_name_are_two_owners():
    assert outcome(gateway("web"), services=[service("web", created=2)]) == {
        "Gateway shop/web": "192.0.2.0",
        "Service shop/web": "192.0.2.1",
    }
    assert gateway_owner(Key("shop", "web")) != service_owner(Key("shop", "web"))


def test_a_gateway_keeps_the_address_of_its_status_if_the_status_is_ours():
    assert outcome(gateway(recorded="192.0.2.3")) == {"Gateway shop/front": "192.0.2.3"}
    assert outcome(gateway(recorded="192.0.2.3", ours=False)) == {"Gateway shop/front": "192.0.2.0"}


def test_a_requested_address():
    asked = gateway(addresses=[{"type": "IPAddress", "value": "192.0.2.2"}])
    assert outcome(asked) == {"Gateway shop/front": "192.0.2.2"}
    holder = service("holder", created=0, recorded="192.0.2.2")
    assert outcome(asked, services=[holder])["Gateway shop/front"] == "AddressInUse"
    assert outcome(gateway(addresses=[{"value": "198.51.100.1"}])) == {
        "Gateway shop/front": "AddressNotInPool"
    }
    assert outcome(gateway(addresses=[{"value": "nonsense"}])) == {"Gateway shop/front": "InvalidAddress"}


def test_an_address_without_a_value_is_our_choice():
    assert outcome(gateway(addresses=[{"type": "IPAddress"}])) == {"Gateway shop/front": "192.0.2.0"}


def test_both_ip_versions_if_both_are_requested():
    asker = gateway_asker(gateway(addresses=[{"value": "2001:db8::1"}, {"value": "192.0.2.1"}]), EDGE)
    assert asker.ip_versions == (6, 4)
    assert [ip_address(text).version for text in asker.requested.split(",")] == [6, 4]


def test_the_load_balancer_says_whose_gateways_it_serves():
    same = {"pools": ["public"]}
    assert outcome(gateway(namespace="net"), policy=same) == {"Gateway net/front": "192.0.2.0"}
    assert outcome(gateway(), policy=same) == {"Gateway shop/front": "NotPermitted"}


def test_a_gateway_and_a_service_share_an_address_if_both_say_so():
    key = {"annotations": {"skylane.dev/sharing-key": "k"}}
    other = service("web", created=2, ports=[(443, "TCP")], sharing_key="k")
    assert set(outcome(gateway(**key), services=[other]).values()) == {"192.0.2.0"}
    assert set(outcome(gateway(ports=(443,), **key), services=[other]).values()) == {"192.0.2.0", "192.0.2.1"}
