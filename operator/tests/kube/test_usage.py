from plan_world import pod

from skylane_operator.kube.usage import NodeUsage
from skylane_operator.plan.placement import requested_by


def requested(usage):
    return {one.spec.node_name: requested_by(one) for one in usage.as_pods()}


def test_sums_follow_every_change_and_forwarders_are_left_out():
    usage = NodeUsage()
    small, large = pod("one", "a", {"cpu": "100m"}), pod("one", "a", {"cpu": "1", "hugepages-2Mi": "64Mi"})
    assert usage.changed(None, small)
    assert usage.changed(None, pod("two", "a", {"cpu": "2"}))
    assert not usage.changed(small, small)
    assert not usage.changed(None, pod("edge-skylane-0", "a", {"cpu": "9"}, load_balancer="edge"))
    assert usage.changed(small, large)
    assert requested(usage)["a"] == {"cpu": 3000, "hugepages-2Mi": 64 << 20}
    assert usage.changed(large, None)
    assert requested(usage)["a"]["cpu"] == 2000


def test_a_pod_counts_once_it_has_a_node():
    usage = NodeUsage()
    waiting = pod("one", None, {"cpu": "1"})
    assert not usage.changed(None, waiting)
    assert usage.changed(waiting, pod("one", "a", {"cpu": "1"}))
    assert requested(usage)["a"]["cpu"] == 1000
