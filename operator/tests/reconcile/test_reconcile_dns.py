"""Names of VIPs on a real API server, to a DNSEndpoint as external-dns reads it."""

import contextlib

import pytest
from operator_support import eventually
from operator_world import load_balancer
from test_reconcile_lifecycle import add_service, run_pod

from skylane_operator import reconcile
from skylane_operator.model.key import Key

pytestmark = pytest.mark.apiserver

GROUP = "externaldns.k8s.io/v1alpha1"
NAMES = (GROUP, "dnsendpoints", "edge-skylane")
WEB = "web.example.org"
POD = "edge-skylane-0"


def definition():
    """The parts of external-dns's CRD that it looks at."""
    text = {"type": "string"}
    endpoint = {
        "dnsName": text,
        "recordTTL": {"type": "integer", "format": "int64"},
        "recordType": text,
        "targets": {"type": "array", "items": text},
    }
    endpoints = {"type": "array", "items": {"type": "object", "properties": endpoint}}
    spec = {"type": "object", "properties": {"endpoints": endpoints}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "dnsendpoints.externaldns.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, of a test"},
        },
        "spec": {
            "group": "externaldns.k8s.io",
            "scope": "Namespaced",
            "names": {"plural": "dnsendpoints", "kind": "DNSEndpoint"},
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": schema}],
        },
    }


@contextlib.contextmanager
def installed(control_plane):
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    control_plane.request("POST", path, definition())
    try:
        control_plane.kubectl("wait", "--for=condition=Established", "--timeout=40s", "crd", "--all")
        yield
    finally:
        control_plane.kubectl("delete", "crd", "dnsendpoints.externaldns.k8s.io", "--wait")


@pytest.fixture
def external_dns(control_plane):
    with installed(control_plane):
        yield


async def named(world):
    add_service(world)
    body = load_balancer()
    body["spec"]["listeners"][0]["hostname"] = WEB
    world.create("skylane.dev/v1alpha1", "loadbalancers", body)
    await world.start_operator()
    await world.until_pod(POD)
    return body["spec"]["listeners"][0]["vip"]


def endpoints(world):
    found = world.api.request("GET", world.path(GROUP, "dnsendpoints"))["items"]
    return [item["spec"]["endpoints"] for item in found]


@pytest.mark.usefixtures("external_dns")
async def test_a_name_comes_with_the_first_pod_that_serves_and_goes_with_the_listeners(world):
    vip = await named(world)
    found = await world.until_condition("DNSPublished", "False", "NothingInService")
    assert "no pod is Ready" in found["message"]
    assert endpoints(world) == []
    await run_pod(world, POD)
    record = {"dnsName": WEB, "recordType": "A", "recordTTL": 60, "targets": [vip]}
    await eventually(lambda: endpoints(world) == [[record]], "the name")
    assert (await world.until_condition("DNSPublished", "True"))["message"] == f"{WEB} is {vip}"
    # An operator that begins anew knows nobody who is in service before the agents have called.
    generation = world.get(*NAMES)["metadata"]["generation"]
    port = world.operator.term.grpc_port
    await world.stop_operator()
    await world.start_operator(port)
    await eventually(lambda: world.agent_state(POD) and world.agent_state(POD).connected, "the agent")
    handled = world.operator.term.queue.handled
    world.operator.term.queue.mark(Key(world.namespace, "edge"))
    await eventually(lambda: world.operator.term.queue.handled > handled, "a reconcile")
    assert world.get(*NAMES)["metadata"]["generation"] == generation
    # With nothing in service the name stays: an answer that is remembered as none would outlast the trouble.
    world.delete("discovery.k8s.io/v1", "endpointslices", "web-1")
    await world.until_condition("DNSPublished", "False", "NothingInService")
    assert endpoints(world) == [[record]]
    world.change(
        "skylane.dev/v1alpha1",
        "loadbalancers",
        "edge",
        lambda body: body["spec"]["listeners"][0].pop("hostname"),
    )
    await eventually(lambda: endpoints(world) == [], "the name to go")


async def test_without_external_dns_it_is_told_and_a_later_one_is_found(world, control_plane, monkeypatch):
    monkeypatch.setattr(reconcile, "AGAIN_S", 0.2)
    await named(world)
    await run_pod(world, POD)
    told = await world.until_condition("DNSPublished", "False", "NotWritten")
    assert "install external-dns with its CRD" in told["message"]
    await world.until_condition("Ready", "True")
    with installed(control_plane):
        await world.until_condition("DNSPublished", "True", timeout_s=90)
        assert endpoints(world) != []
