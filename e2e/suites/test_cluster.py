"""The single-node cluster itself: what the suites above it take for granted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster import cni, device_plugin, network, single_node
from lib.net import has_link, ip, run_in
from lib.pods import created, manifest, run_in_pod, running, wait_unschedulable
from lib.proc import wait_until

pytestmark = pytest.mark.cluster

SLEEP = ("sleep", "1000000")
NIC_LIMITS = {device_plugin.RESOURCE: "1", "cpu": "20m", "memory": "32Mi"}


@pytest.fixture(scope="module", autouse=True)
def cluster_up() -> None:
    """Start the cluster or find it running; it stays for the suites after this one."""
    single_node.up()


@pytest.fixture(name="all_nics_offered")
def all_nics_offered_fixture() -> Iterator[None]:
    """Every NIC is offered again afterwards."""
    yield
    single_node.set_nics_offered(network.NIC_COUNT)


def nics_of_node() -> set[str]:
    return {name for name in network.nic_names() if has_link(network.NODE, name)}


def test_node_offers_what_forwarders_need() -> None:
    capacity = single_node.capacity()
    assert capacity[device_plugin.RESOURCE] == str(network.NIC_COUNT)
    assert int(capacity["hugepages-2Mi"].removesuffix("Mi")) >= 512


def test_every_part_runs() -> None:
    states = single_node.status()
    assert set(states.values()) == {"running", "up", "Ready"}


def test_client_and_pod_reach_each_other_over_the_router() -> None:
    with running(manifest("reachable", *SLEEP)) as address:
        run_in(network.CLIENT, "ping", "-c1", "-W2", address)
        run_in_pod("reachable", "ping", "-c1", "-W2", network.CLIENT_ADDRESS)
        run_in_pod("reachable", "ping", "-c1", "-W2", network.EXTERNAL_GATEWAY)


def test_service_address_reaches_its_pod_from_another_pod() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "greeter"},
        "spec": {"selector": {"app": "greeter"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    greeter = manifest("greeter", "nc", "-ll", "-p", "8080", "-e", "/bin/busybox", "echo", "hello")
    with created(service), running(greeter), running(manifest("caller", *SLEEP)):
        address = single_node.kubectl("get", "service", "greeter", "-o=jsonpath={.spec.clusterIP}")

        def greets() -> bool:
            return run_in_pod("caller", "sh", "-c", f"nc -w 2 {address} 80 </dev/null || true") == "hello\n"

        wait_until(greets, "kube-proxy to route the Service", timeout_s=20)


def test_nic_moves_into_its_pod_and_back() -> None:
    before = nics_of_node()
    with running(manifest("with-nic", *SLEEP, limits=NIC_LIMITS, networks=cni.ATTACHMENT)):
        (taken,) = before - nics_of_node()
        assert run_in_pod("with-nic", "ls", "/sys/class/net").split() == ["eth0", "lo", "net1"]
        environment = run_in_pod("with-nic", "cat", "/proc/1/environ").split("\0")
        assert f"PCIDEVICE_SKYLANE_DEV_NIC={taken}" in environment
    wait_until(lambda: nics_of_node() == before, f"{taken} to come back", timeout_s=20)
    wait_until(lambda: "UP" in ip(network.NODE, f"-br link show {taken}"), f"{taken} to be up", timeout_s=5)


def test_nic_carries_packets_to_the_external_network() -> None:
    pod = manifest("on-external", *SLEEP, limits=NIC_LIMITS, networks=cni.ATTACHMENT)
    pod["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    with running(pod):
        run_in_pod("on-external", "ip", "address", "add", "10.77.0.99/24", "dev", "net1")
        run_in_pod("on-external", "ping", "-c1", "-W2", "-I", "10.77.0.99", network.EXTERNAL_GATEWAY)


def test_nic_lost_with_its_namespace_is_made_again() -> None:
    lost = max(nics_of_node())
    ip(network.NODE, f"link delete {lost}")
    wait_until(lambda: has_link(network.NODE, lost), f"the device plugin to make {lost} again", timeout_s=10)


@pytest.mark.usefixtures("all_nics_offered")
def test_pod_without_a_free_nic_says_so() -> None:
    single_node.set_nics_offered(0)
    with created(manifest("no-nic", *SLEEP, limits=NIC_LIMITS, networks=cni.ATTACHMENT)) as name:
        wait_unschedulable(name, f"Insufficient {device_plugin.RESOURCE}")


def test_restarted_kubelet_keeps_pods_and_knows_the_nics_again() -> None:
    with running(manifest("survivor", *SLEEP)):
        single_node.restart_kubelet()
        wait_until(
            lambda: single_node.capacity().get(device_plugin.RESOURCE) == str(network.NIC_COUNT),
            "the device plugin to register again",
            timeout_s=30,
        )
        path = "{.status.containerStatuses[0].restartCount}"
        assert single_node.kubectl("get", "pod", "survivor", f"-o=jsonpath={path}") == "0"
