"""A listener of IPv6 beside one of IPv4: from the objects to the configuration that a real forwarder runs."""

import json

import pytest
from operator_support import endpoint_slice, service
from operator_world import load_balancer

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
VIP = "2001:db8:100::10"
SLICES = ("discovery.k8s.io/v1", "endpointslices")


def dual_stack():
    body = load_balancer()
    dataplane, listeners = body["spec"]["dataplane"], body["spec"]["listeners"]
    dataplane["networks"][0]["ipv6"] = {"addresses": ["2001:db8:77::11/64"], "gateway": "fe80::1"}
    dataplane["localAddressesIPv6"] = ["2001:db8:77::101"]
    listeners.append({**listeners[0], "name": "web-ipv6", "vip": VIP})
    return body


async def test_each_listener_has_the_endpoints_of_its_ip_version(world):
    world.create("v1", "services", service(world.namespace, "web"))
    world.create(*SLICES, endpoint_slice(world.namespace, "web", "10.244.0.5"))
    six = endpoint_slice(world.namespace, "web", "2001:db8:1::5", "2001:db8:1::6")
    six["metadata"]["name"], six["addressType"] = "web-six", "IPv6"
    world.create(*SLICES, six)
    world.create("skylane.dev/v1alpha1", "loadbalancers", dual_stack())
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    world.start_agent(POD)
    await world.until_condition("Programmed", "True")
    folder = world.pod_folder(POD) / "config"
    base = json.loads((folder / "base.json").read_text())
    assert base["ports"][0]["address6"] == "2001:db8:77::11/64"
    assert base["ports"][0]["gateway6"] == "fe80::1"
    assert base["local_addresses"][1:] == ["2001:db8:77::101"]
    files = {
        name: json.loads((folder / f"listeners/{name}.json").read_text()) for name in ("web", "web-ipv6")
    }
    assert files["web-ipv6"]["vip"] == VIP
    assert [one["address"] for one in files["web"]["backends"]] == ["10.244.0.5"]
    assert [one["address"] for one in files["web-ipv6"]["backends"]] == ["2001:db8:1::5", "2001:db8:1::6"]


async def test_ipv6_without_local_addresses_is_named(world):
    body = dual_stack()
    del body["spec"]["dataplane"]["localAddressesIPv6"]
    with pytest.raises(Exception, match="Unprocessable Entity") as refused:
        world.create("skylane.dev/v1alpha1", "loadbalancers", body)
    assert "localAddressesIPv6" in refused.value.read().decode()
