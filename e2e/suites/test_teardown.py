"""`down` leaves the host as it was. Runs after the other suites, and ends the cluster that they used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import cni, device_plugin, host, network, node, owner, single_node
from cluster.paths import DATA, RUN
from lib import pods
from lib.net import NAMESPACES
from lib.proc import run

pytestmark = pytest.mark.cluster

SLEEP = ("sleep", "1000000")


def snapshot() -> dict[str, object]:
    """All on the host that a cluster could leave behind."""
    return {
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "links": sorted(line.split()[0] for line in run("ip", "-br", "link").splitlines()),
        "routes": run("ip", "route"),
        "namespaces": sorted(path.name for path in NAMESPACES.glob("skylane-*")),
        "sysctls": {name: Path("/proc/sys", name).read_text() for name in host.SYSCTLS},
        "hugepages": host.HUGEPAGES.read_text(),
        "cgroups": sorted(str(path) for path in host.cgroup_hierarchies()[0].parent.rglob("*skylane*")),
        "folders": [str(path) for path in (*host.FOLDERS, RUN, DATA) if path.exists()],
        "processes": sorted(cluster_processes()),
    }


def cluster_processes() -> set[str]:
    """Command lines that name the cluster's folders."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(RUN) in words or str(DATA) in words:
            found.add(words)
    return found


@pytest.fixture(autouse=True)
def down_afterwards() -> Iterator[None]:
    single_node.down()
    yield
    single_node.down()


def test_host_is_as_before_with_a_forwarders_pod_still_running() -> None:
    before = snapshot()
    single_node.up()
    limits = {device_plugin.RESOURCE: "1", "cpu": "1", "memory": "64Mi", "hugepages-2Mi": "128Mi"}
    pods.start(pods.manifest("exclusive", *SLEEP, limits=limits, networks=cni.ATTACHMENT))
    # The one core that is not reserved is the pod's alone.
    assert "Cpus_allowed_list:\t1\n" in pods.run_in_pod("exclusive", "cat", "/proc/1/status")
    single_node.down()
    assert snapshot() == before


def test_half_started_cluster_goes_away_too() -> None:
    before = snapshot()
    host.prepare()
    network.up()
    cni.write_pci_devices()
    node.start_holder()
    assert snapshot() != before
    single_node.down()
    assert snapshot() == before


def test_down_without_a_cluster_does_nothing() -> None:
    before = snapshot()
    single_node.down()
    assert snapshot() == before


def test_cluster_of_another_checkout_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.prepare()
    owner.claim()
    (tmp_path / "e2e").mkdir()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(owner, "REPOSITORY", tmp_path)
        with pytest.raises(owner.OtherCheckoutError, match="make down"):
            single_node.up()
        with pytest.raises(owner.OtherCheckoutError, match="make down"):
            single_node.down()
        assert RUN.exists()
        single_node.down(force=True)
    assert not RUN.exists()
