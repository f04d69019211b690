import pytest
from plan_world import inputs, load_balancer

from skylane_operator.plan import claims_for, plan_for


def three(**changes):
    network = {
        "name": "external",
        "networkAttachment": "nic",
        "resourceName": "skylane.dev/nic",
        "driver": "af_packet",
        "addresses": ["10.77.0.11/24", "10.77.0.12/24", "10.77.0.13/24"],
        "gateway": "10.77.0.1",
    }
    local = [f"10.77.0.{number}" for number in range(101, 107)]
    spec = {"replicas": 2, "networks": [network], "localAddresses": local, "localAddressesPerReplica": 2}
    return plan_for(inputs(**(spec | changes)))


def test_an_ordinal_owns_its_slice_of_the_local_addresses():
    owned = [[str(address) for address in pod.base.local_addresses] for pod in three(replicas=3).pods]
    assert owned == [
        ["10.77.0.101", "10.77.0.102"],
        ["10.77.0.103", "10.77.0.104"],
        ["10.77.0.105", "10.77.0.106"],
    ]


def test_scaling_changes_nothing_for_the_pods_that_stay():
    two, more = three(), three(replicas=3)
    assert two.template_generation == more.template_generation
    assert [pod.base.generation for pod in two.pods] == [pod.base.generation for pod in more.pods[:2]]


def test_another_worker_changes_the_template():
    assert three().template_generation != three(workers=2).template_generation


def test_where_pods_may_run_does_not_replace_those_that_run():
    assert three().template_generation == three(nodeSelector={"a": "b"}).template_generation


def test_equal_inputs_give_equal_plans():
    assert three() == three()


def test_one_pod_answers_arp():
    assert [[listener.arp for listener in pod.listeners] for pod in three(replicas=3).pods] == [
        [True],
        [False],
        [False],
    ]


def test_of_two_equally_old_the_first_by_name_wins():
    contender = {"name": "alpha", "localAddresses": ["10.77.0.201"]}
    alpha, zulu = claims_for(load_balancer(**contender)), claims_for(load_balancer(name="zulu"))
    assert plan_for(inputs(name="demo", others=[alpha])).listeners == ()
    assert plan_for(inputs(name="demo", others=[zulu])).rejected[0].reason == "ServiceNotFound"


def test_a_conflict_of_one_listener_leaves_the_others_alone():
    def listener(name, vip):
        return {"name": name, "vip": vip, "port": 80, "backends": [{"service": "echo", "port": 80}]}

    plan = plan_for(inputs(listeners=[listener("bad", "10.77.0.101"), listener("good", "198.51.100.1")]))
    assert [item.listener.name for item in plan.listeners] == ["good"]
    assert plan.deployable


def test_local_address_that_is_the_gateway_is_named():
    plan = plan_for(inputs(localAddresses=["10.77.0.1"]))
    found = [r for r in plan.rejected if r.field == "spec.dataplane.localAddresses[0]"]
    assert len(found) == 1
    assert "spec.dataplane.networks[0].gateway" in found[0].message
    assert not plan.deployable


SYNC = {"sessionSync": {"enabled": True}}


def test_session_sync_names_every_pod_that_there_are_addresses_for():
    first, second = (pod.base.sync for pod in three(**SYNC).pods)
    assert (first.ordinal, first.udp_port, [peer.ordinal for peer in first.peers]) == (0, 5407, [1, 2])
    assert (second.ordinal, [peer.ordinal for peer in second.peers]) == (1, [0, 2])
    assert str(first.peers[0].address) == "10.77.0.12"
    assert [str(address) for address in first.peers[0].local_addresses] == ["10.77.0.103", "10.77.0.104"]


def test_scaling_within_the_addresses_touches_no_session():
    two, more = three(**SYNC), three(replicas=3, **SYNC)
    assert two.template_generation == more.template_generation
    assert [pod.base.generation for pod in two.pods] == [pod.base.generation for pod in more.pods[:2]]


def test_more_addresses_give_every_pod_another_base_and_no_other_template():
    few = {"localAddresses": [f"10.77.0.{number}" for number in range(101, 105)]}
    two, three_of_them = three(**few, **SYNC), three(**SYNC)
    assert [peer.ordinal for peer in two.pods[0].base.sync.peers] == [1]
    assert two.pods[0].base.generation != three_of_them.pods[0].base.generation
    assert two.template_generation == three_of_them.template_generation


def test_session_sync_changes_the_template_and_another_port_does():
    templates = {
        three(**sync).template_generation
        for sync in ({}, SYNC, {"sessionSync": {"enabled": True, "udpPort": 5408}})
    }
    assert len(templates) == 3


def test_one_pod_alone_syncs_with_nobody():
    plan = plan_for(inputs(**SYNC))
    assert plan.pods[0].base.sync is None
    assert plan.template_generation == plan_for(inputs()).template_generation


def test_no_pod_has_more_than_fifteen_peers():
    network = {
        "name": "external",
        "networkAttachment": "nic",
        "resourceName": "skylane.dev/nic",
        "driver": "af_packet",
        "addresses": [f"10.77.0.{10 + ordinal}/24" for ordinal in range(20)],
        "gateway": "10.77.0.1",
    }
    local = [f"10.77.0.{100 + ordinal}" for ordinal in range(20)]
    plan = plan_for(inputs(networks=[network], localAddresses=local, **SYNC))
    assert [peer.ordinal for peer in plan.pods[0].base.sync.peers] == list(range(1, 16))


@pytest.mark.parametrize(
    ("spec", "field"),
    [({"workers": 2}, "workers must be 1"), ({"replicas": 17}, "replicas must be at most 16")],
)
def test_what_cannot_sync_is_refused(spec, field):
    with pytest.raises(ValueError, match=field):
        load_balancer(**spec, **SYNC)


def test_pods_that_sync_are_on_one_segment():
    network = {
        "name": "external",
        "networkAttachment": "nic",
        "resourceName": "skylane.dev/nic",
        "driver": "af_packet",
        "addresses": ["10.77.0.11/24", "10.77.0.12/16"],
        "gateway": "10.77.0.1",
    }
    spec = {"networks": [network], "localAddresses": ["10.77.0.101", "10.77.0.102"]}
    assert plan_for(inputs(**spec)).deployable
    plan = plan_for(inputs(**spec, **SYNC))
    (found,) = [one for one in plan.rejected if one.reason == "Invalid"]
    assert found.field == "spec.dataplane.networks[0].addresses[1]"
    assert "10.77.0.0/24" in found.message
    assert not plan.deployable
