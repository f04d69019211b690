"""Which pod has a session with which router."""

from dataclasses import replace

from plan_world import inputs, node, pod

from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.load_balancer import Advertisement
from skylane_operator.plan import plan_for

RACKS = {"node-a": "a", "node-b": "b", "node-c": "c"}


def peer(name, address, **spec):
    whole = {"peerAddress": address, "peerASN": 64513, "localASN": 64512, **spec}
    return BGPPeer.model_validate({"metadata": {"name": name, "namespace": "default"}, "spec": whole})


def of_rack(name):
    return {"matchLabels": {"rack": name}}


def plan(*peers, pods):
    nodes = []
    for name, rack in RACKS.items():
        one = node(name, nics=9)
        nodes.append(
            one.model_copy(update={"metadata": one.metadata.model_copy(update={"labels": {"rack": rack}})})
        )
    pods = [pod(f"demo-skylane-{n}", where, {}, load_balancer="demo") for n, where in enumerate(pods)]
    given = inputs(replicas=3, nodes=nodes, pods=pods)
    spec = given.load_balancer.spec.model_copy(
        update={"advertisement": Advertisement(bgp_peers=tuple(one.key.name for one in peers))}
    )
    load_balancer = given.load_balancer.model_copy(update={"spec": spec})
    return plan_for(
        replace(given, load_balancer=load_balancer, bgp_peers={one.key.name: one for one in peers})
    )


def sessions(made):
    return [None if one.routing is None else [p.name for p in one.routing.peers] for one in made.pods]


def test_without_selectors_every_pod_has_every_peer_wherever_it_is():
    made = plan(peer("one", "10.0.0.1"), peer("two", "10.0.0.2"), pods=["node-a", None, "unknown"])
    assert sessions(made) == [["one", "two"]] * 3
    assert len({one.routing.generation for one in made.pods}) == 1


def test_a_pod_has_the_peers_of_its_node():
    top_a = peer("top-a", "10.0.1.1", nodeSelector=of_rack("a"))
    top_b = peer("top-b", "10.0.2.1", nodeSelector=of_rack("b"))
    made = plan(top_a, peer("all", "10.0.0.1"), top_b, pods=["node-a", "node-b", "node-c"])
    assert sessions(made) == [["top-a", "all"], ["all", "top-b"], ["all"]]
    assert len({one.routing.generation for one in made.pods}) == 3


def test_a_node_that_nobody_selects_has_no_session():
    made = plan(peer("top-a", "10.0.1.1", nodeSelector=of_rack("a")), pods=["node-a", "node-b", "node-c"])
    assert sessions(made) == [["top-a"], [], []]
    assert made.pods[1].routing.generation == ""


def test_a_pod_whose_node_is_not_known_keeps_what_it_has():
    """The operator may see a pod, its node or its labels later than the agent calls: no session ends for that."""
    made = plan(peer("top-a", "10.0.1.1", nodeSelector=of_rack("a")), pods=["node-a", None, "gone"])
    assert sessions(made) == [["top-a"], None, None]


def test_routers_of_two_racks_may_have_one_address():
    """As where every rack's router is 169.254.1.1 to its nodes."""
    top_a = peer("top-a", "169.254.1.1", nodeSelector=of_rack("a"), peerASN=65001)
    top_b = peer("top-b", "169.254.1.1", nodeSelector=of_rack("b"), peerASN=65002)
    made = plan(top_a, top_b, pods=["node-a", "node-b", "node-c"])
    assert not any(one.field.startswith("spec.advertisement") for one in made.rejected)
    assert sessions(made) == [["top-a"], ["top-b"], []]
    assert [p.routing.peers[0].peer_asn for p in made.pods[:2]] == [65001, 65002]


def test_of_two_with_one_address_a_pod_has_the_first():
    first = peer("first", "10.0.0.1", nodeSelector=of_rack("a"))
    made = plan(first, peer("second", "10.0.0.1"), pods=["node-a", "node-b", "node-c"])
    assert sessions(made) == [["first"], ["second"], ["second"]]
