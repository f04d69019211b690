from ipaddress import IPv4Address

import pytest
from service_world import EDGE, address_inputs, pool, service

from skylane_operator.model.key import Key, service_owner
from skylane_operator.model.load_balancer import ServicesPolicy
from skylane_operator.plan.addresses import assign_addresses
from skylane_operator.plan.service_types import Assigned, Refused


def outcome(*services, **given):
    """Name of a Service to its address, or to the reason why it has none."""
    found = assign_addresses(address_inputs(*services, **given))
    return {
        owner.key.name: ",".join(map(str, one.addresses)) if isinstance(one, Assigned) else str(one.reason)
        for owner, one in found.items()
    }


def message(one, **given):
    (refused,) = assign_addresses(address_inputs(one, **given)).values()
    assert isinstance(refused, Refused)
    return refused.message


def test_lowest_free_addresses_to_the_oldest_first():
    assert outcome(service("b", created=2), service("a", created=1)) == {"a": "192.0.2.0", "b": "192.0.2.1"}


def test_next_pool_when_one_is_full():
    pools = [pool("public", "192.0.2.0/32"), pool("spare", "192.0.2.9-192.0.2.10")]
    policy = {"pools": ["public", "spare"], "namespaces": {"from": "All"}}
    assert outcome(service("a"), service("b"), pools=pools, policy=policy) == {
        "a": "192.0.2.0",
        "b": "192.0.2.9",
    }


def test_full_pools():
    assert outcome(service("a"), service("b"), pools=[pool("public", "192.0.2.0/32")])["b"] == "PoolExhausted"


def test_an_older_newcomer_takes_nobodys_address():
    kept = service("a", created=9, recorded="192.0.2.0")
    assert outcome(service("old", created=1), kept) == {"a": "192.0.2.0", "old": "192.0.2.1"}


def test_address_stays_when_the_pool_no_longer_has_it():
    found = assign_addresses(address_inputs(service("a", recorded="203.0.113.7")))
    assert found[service_owner(Key("shop", "a"))] == Assigned(IPv4Address("203.0.113.7"), EDGE, "")


def test_address_stays_while_the_load_balancer_is_away():
    kept, new = service("a", recorded="192.0.2.2"), service("b")
    assert outcome(kept, new, load_balancers={}) == {"a": "192.0.2.2", "b": "LoadBalancerNotFound"}


def test_address_stays_although_a_load_balancer_begins_to_claim_it():
    taken = {IPv4Address("192.0.2.0"): EDGE, IPv4Address("192.0.2.1"): EDGE}
    kept, new = service("a", recorded="192.0.2.0"), service("b")
    assert outcome(kept, new, reserved=taken) == {"a": "192.0.2.0", "b": "192.0.2.2"}


def test_what_was_assigned_before_holds_though_no_status_says_so_yet():
    first = assign_addresses(address_inputs(service("b")))
    assert outcome(service("a", created=0), service("b"), previous=first) == {
        "a": "192.0.2.1",
        "b": "192.0.2.0",
    }


def test_address_in_a_status_that_is_not_ours_is_no_record():
    foreign = service("a", recorded="192.0.2.3")
    foreign = foreign.model_copy(update={"status": foreign.status.model_copy(update={"conditions": ()})})
    assert outcome(foreign) == {"a": "192.0.2.0"}


def test_two_records_of_one_address_leave_it_to_the_older():
    assert outcome(
        service("a", created=1, recorded="192.0.2.0"), service("b", created=2, recorded="192.0.2.0")
    ) == {
        "a": "192.0.2.0",
        "b": "192.0.2.1",
    }


def test_requested_address():
    assert outcome(service("a"), service("b", address="192.0.2.3")) == {"a": "192.0.2.0", "b": "192.0.2.3"}


def test_request_by_the_field_of_the_api():
    asked = service("a")
    asked = asked.model_copy(update={"spec": asked.spec.model_copy(update={"load_balancer_ip": "192.0.2.2"})})
    assert outcome(asked) == {"a": "192.0.2.2"}


def test_a_new_request_moves_the_service():
    assert outcome(service("a", recorded="192.0.2.0", address="192.0.2.3")) == {"a": "192.0.2.3"}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"address": "nonsense"}, "InvalidAddress"),
        ({"address": "203.0.113.1"}, "AddressNotInPool"),
        ({"address": "192.0.2.0"}, "AddressInUse"),
        ({"pool": "other"}, "PoolNotFound"),
    ],
)
def test_request_that_cannot_be_met(asked, reason):
    holder = service("holder", created=0, recorded="192.0.2.0")
    assert outcome(holder, service("a", **asked))["a"] == reason


def test_messages_name_object_field_and_mend():
    assert "annotation skylane.dev/address" in message(service("a", address="nonsense"))
    assert "public (192.0.2.0/30)" in message(service("a", address="203.0.113.1"))
    assert "LoadBalancer net/edge does not exist" in message(service("a"), load_balancers={})
    assert "has no spec.services" in message(service("a"), load_balancers={EDGE: None})


def test_sharing_key_with_different_ports():
    shared = [service(name, ports=[(port, "TCP")], sharing_key="k") for name, port in (("a", 80), ("b", 443))]
    assert outcome(*shared) == {"a": "192.0.2.0", "b": "192.0.2.0"}


@pytest.mark.parametrize("other", [{"sharing_key": "l"}, {}, {"sharing_key": "k", "ports": [(80, "TCP")]}])
def test_no_sharing_without_the_key_or_with_the_same_port(other):
    first = service("a", sharing_key="k", created=1)
    assert outcome(first, service("b", **{"ports": [(443, "TCP")], "created": 2} | other))["b"] == "192.0.2.1"


def test_same_port_of_another_protocol_is_another_port():
    shared = [
        service(name, ports=[(53, protocol)], sharing_key="k")
        for name, protocol in (("a", "TCP"), ("b", "UDP"))
    ]
    assert outcome(*shared) == {"a": "192.0.2.0", "b": "192.0.2.0"}


def test_namespaces_of_the_load_balancer():
    same = {"pools": ["public"]}
    assert outcome(service("a", "net"), policy=same) == {"a": "192.0.2.0"}
    assert outcome(service("a", "shop"), policy=same) == {"a": "NotPermitted"}
    by_label = {
        "pools": ["public"],
        "namespaces": {"from": "Selector", "selector": {"matchLabels": {"tier": "x"}}},
    }
    labels = {"shop": {"tier": "x"}, "bank": {"tier": "y"}}
    given = {"policy": by_label, "namespace_labels": labels}
    assert outcome(service("a", "shop"), service("b", "bank"), **given) == {
        "a": "192.0.2.0",
        "b": "NotPermitted",
    }


def test_address_comes_back_when_the_permission_goes():
    policy = {EDGE: ServicesPolicy.model_validate({"pools": ["public"]})}
    assert outcome(service("a", recorded="192.0.2.0"), load_balancers=policy) == {"a": "NotPermitted"}


def test_pool_for_some_namespaces_and_services():
    selectors = {
        "namespaceSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["y"]}]},
        "serviceSelector": {"matchLabels": {"app": "a"}},
    }
    given = {"pools": [pool(**selectors)], "namespace_labels": {"bank": {"tier": "y"}}}
    assert outcome(service("a"), service("b"), service("a2", "bank"), **given) == {
        "a": "192.0.2.0",
        "b": "NotPermitted",
        "a2": "NotPermitted",
    }


def test_pool_that_has_to_be_asked_for():
    given = {"pools": [pool(autoAssign=False)]}
    assert outcome(service("a"), service("b", pool="public"), **given) == {
        "a": "NotPermitted",
        "b": "192.0.2.0",
    }


def test_another_load_balancer_is_another_address():
    before = assign_addresses(address_inputs(service("a", recorded="192.0.2.3")))
    elsewhere = Key("net", "other")
    policy = ServicesPolicy.model_validate({"pools": ["public"], "namespaces": {"from": "All"}})
    moved = outcome(service("a"), wanted=elsewhere, load_balancers={elsewhere: policy}, previous=before)
    assert moved == {"a": "192.0.2.0"}


BOTH = ("IPv4", "IPv6")
DUAL_POOL = [pool("public", "192.0.2.0/30", "2001:db8::/126")]


def test_an_address_of_each_ip_version():
    services = [service("a", families=BOTH), service("b", families=("IPv6",)), service("c")]
    assert outcome(*services, pools=DUAL_POOL) == {
        "a": "192.0.2.0,2001:db8::",
        "b": "2001:db8::1",
        "c": "192.0.2.1",
    }


def test_both_records_are_kept():
    kept = service("a", families=BOTH, recorded="192.0.2.2,2001:db8::3")
    assert outcome(kept, pools=DUAL_POOL) == {"a": "192.0.2.2,2001:db8::3"}


def test_a_second_ip_version_that_cannot_be_had_is_told():
    found = assign_addresses(address_inputs(service("a", families=BOTH)))[service_owner(Key("shop", "a"))]
    assert str(found.address) == "192.0.2.0"
    assert str(found.second.reason) == "PoolExhausted"


def test_ipv6_of_a_load_balancer_without():
    given = {"pools": DUAL_POOL, "dual_stack": frozenset()}
    assert outcome(service("a", families=("IPv6",)), **given) == {"a": "IPv6NotServed"}


def test_requests_of_both_ip_versions():
    asked = service("a", families=BOTH, address="192.0.2.1, 2001:db8::2")
    assert outcome(asked, pools=DUAL_POOL) == {"a": "192.0.2.1,2001:db8::2"}
