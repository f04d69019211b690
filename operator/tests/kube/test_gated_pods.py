from skylane_operator.kube.gated_pods import GatedPods
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Pod, Service

GATE = "skylane.dev/in-service"
ADDRESS = "10.244.0.5"


def pod(name="web-1", *true, namespace="shop", phase="Running", gates=(GATE,), **metadata):
    return Pod.model_validate(
        {
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": "web"}, **metadata},
            "spec": {"readinessGates": [{"conditionType": one} for one in gates]},
            "status": {
                "phase": phase,
                "podIPs": [{"ip": ADDRESS}],
                "conditions": [{"type": one, "status": "True"} for one in true],
            },
        }
    )


def gated(*, enabled=True):
    services = Store({"namespace": lambda one: (one.metadata.namespace,)})
    for name, namespace, selector in (
        ("web", "shop", {"app": "web"}),
        ("all", "shop", None),
        ("web", "other", {"app": "web"}),
    ):
        body = {"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": selector}}
        services.put(Key(namespace, name), Service.model_validate(body))
    return GatedPods(services, enabled=enabled)


def test_what_becomes_an_endpoint_concerns_the_services_that_select_it():
    pods = gated()
    waiting, ready = pod(), pod("web-1", "ContainersReady")
    assert list(pods.changed(None, waiting)) == []
    assert (set(pods.all), set(pods.endpoints)) == ({ADDRESS}, set())
    assert list(pods.changed(waiting, ready)) == [Key("shop", "web")]
    assert set(pods.endpoints) == {ADDRESS}
    assert list(pods.changed(ready, pod("web-1", "ContainersReady", GATE))) == []
    assert list(pods.changed(ready, None)) == [Key("shop", "web")]
    assert (pods.all, pods.endpoints) == ({}, {})


def test_another_gate_that_is_shut_keeps_it_out():
    pods = gated()
    assert list(pods.changed(None, pod("web-1", "ContainersReady", gates=(GATE, "other/gate")))) == []
    assert pods.endpoints == {}


def test_who_has_or_had_the_same_address_is_somebody_else():
    """A finished pod keeps its address in its status; one that terminates may be of another namespace."""
    pods = gated()
    mine, job = pod("web-1", "ContainersReady"), pod("job", "ContainersReady", phase="Succeeded")
    gone = pod("old", "ContainersReady", namespace="other", deletionTimestamp="2026-01-01T00:00:00Z")
    for one in (mine, job, gone):
        list(pods.changed(None, one))
    list(pods.changed(job, None))
    assert pods.all == pods.endpoints == {ADDRESS: {Key("shop", "web-1")}}


def test_a_pod_without_the_gate_is_none_of_our_business():
    assert not gated().concern(None, pod(gates=()))
    assert not gated(enabled=False).concern(None, pod())
