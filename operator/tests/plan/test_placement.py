import pytest
from plan_world import inputs, node, pod

from skylane_operator.model.kubernetes import Pod
from skylane_operator.plan.placement import placement_for, requested_by
from skylane_operator.plan.requests import pod_requests


def placement(**parts):
    given = inputs(**parts)
    return placement_for(given, pod_requests(given.load_balancer.spec.dataplane))


def test_pods_may_spread_over_nodes():
    assert placement(replicas=2, nodes=[node("a", nics=1), node("b", nics=1)]).fits
    assert placement(replicas=3, nodes=[node("a", nics=1), node("b", nics=1)]).reason == "InsufficientNICs"


def test_own_pods_do_not_stand_in_their_own_way():
    own = pod("demo-skylane-0", "a", {"skylane.dev/nic": "1"}, load_balancer="demo")
    foreign = pod("other", "a", {"skylane.dev/nic": "1"})
    assert placement(nodes=[node("a", nics=1)], pods=[own]).fits
    assert not placement(nodes=[node("a", nics=1)], pods=[foreign]).fits


def test_pods_of_a_namesake_in_another_namespace_count():
    namesake = pod(
        "demo-skylane-0", "a", {"skylane.dev/nic": "1"}, load_balancer="demo", namespace="elsewhere"
    )
    assert not placement(nodes=[node("a", nics=1)], pods=[namesake]).fits


def test_each_resource_elsewhere_is_not_enough():
    """One node has the device, the other the hugepages: no pod fits, and both are named with what they lack."""
    verdict = placement(nodes=[node("a", hugepages="0"), node("b", nics=0)])
    assert not verdict.fits
    assert "node a has" in verdict.message
    assert "node b has" in verdict.message


def test_many_nodes_are_not_all_named():
    verdict = placement(nodes=[node(f"n{number:02}", nics=0) for number in range(40)])
    assert "and 30 more" in verdict.message


@pytest.mark.parametrize(
    ("tolerations", "fits"),
    [
        ([], False),
        ([{"operator": "Exists"}], True),
        ([{"key": "dedicated", "operator": "Exists"}], True),
        ([{"key": "dedicated", "value": "lb"}], True),
        ([{"key": "dedicated", "value": "db"}], False),
        ([{"key": "dedicated", "value": "lb", "effect": "NoExecute"}], False),
        ([{"key": "other", "operator": "Exists"}], False),
    ],
)
def test_taints(tolerations, fits):
    tainted = node("a", taints=[{"key": "dedicated", "value": "lb", "effect": "NoSchedule"}])
    assert placement(nodes=[tainted], tolerations=tolerations).fits is fits


def test_preference_keeps_nobody_out():
    assert placement(nodes=[node("a", taints=[{"key": "x", "effect": "PreferNoSchedule"}])]).fits


def test_exclusive_cpus_are_counted_whole():
    exclusive = {"cpu": {"policy": "exclusive"}, "workers": 2}
    assert placement(nodes=[node("a", cpu="4")], **exclusive).fits
    assert placement(nodes=[node("a", cpu="3")], **exclusive).reason == "InsufficientCPU"


def test_requests_of_a_pod_with_init_containers_and_sidecars():
    def container(cpu, **more):
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    pod_ = Pod.model_validate(
        {
            "metadata": {"name": "p"},
            "spec": {
                "initContainers": [container("300m", restartPolicy="Always"), container("2")],
                "containers": [container("1"), container("500m")],
                "overhead": {"cpu": "50m"},
            },
        }
    )
    assert requested_by(pod_) == {"cpu": 2350}


def test_cordon_keeps_new_pods_away_but_not_those_that_are_there():
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    cordoned = node("a", taints=[taint]).model_copy(
        update={"spec": node("a", taints=[taint]).spec.model_copy(update={"unschedulable": True})}
    )
    own = pod("demo-skylane-0", "a", {"skylane.dev/nic": "1"}, load_balancer="demo")
    assert placement(nodes=[cordoned]).reason == "NoMatchingNode"
    assert placement(nodes=[cordoned], pods=[own]).fits
