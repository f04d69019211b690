"""What the nodes of a cluster lack for DPDK pods, as sentences with the remedy."""

from __future__ import annotations

import json
from typing import Any

from lib.kube import Cluster
from lib.proc import CommandError

MULTUS_CRD = "crd/network-attachment-definitions.k8s.cni.cncf.io"
HUGEPAGE_SIZES = ("2Mi", "1Gi")
ORDINARY = {"cpu", "memory", "pods", "ephemeral-storage"}


def cluster_lacks(cluster: Cluster) -> list[str]:
    """What is missing for all nodes."""
    if cluster.answers("get", MULTUS_CRD):
        return []
    return ["no NetworkAttachmentDefinition CRD: install Multus, pods get their second NIC from it"]


def node_lacks(node: dict[str, Any], cpu_policy: str | None) -> list[str]:
    """What one node is missing; ``cpu_policy`` is its kubelet's cpuManagerPolicy, None: not known."""
    allocatable = node["status"].get("allocatable", {})
    lacks = []
    if not any(_positive(allocatable.get(f"hugepages-{size}", "0")) for size in HUGEPAGE_SIZES):
        lacks.append(
            "no hugepages: kernel argument `hugepages=512`, or vm.nr_hugepages and a kubelet restart"
        )
    offered = {name: count for name, count in allocatable.items() if _is_device(name)}
    if not any(_positive(count) for count in offered.values()):
        lacks.append("no device-plugin resource: an SR-IOV network device plugin must offer its NICs")
    if cpu_policy is None:
        lacks.append("cpuManagerPolicy unknown: `cpu.policy: exclusive` needs `static`")
    elif cpu_policy != "static":
        lacks.append(
            f"cpuManagerPolicy is {cpu_policy}: only `cpu.policy: shared` works; exclusive needs `static`"
        )
    return lacks


def node_offers(node: dict[str, Any]) -> str:
    """Hugepages and devices of a node, for people."""
    allocatable = node["status"].get("allocatable", {})
    offers = [f"{name}={count}" for name, count in sorted(allocatable.items()) if name not in ORDINARY]
    return ", ".join(offers) or "nothing beside CPU and memory"


def cpu_policy(cluster: Cluster, node: str) -> str | None:
    """The kubelet's cpuManagerPolicy, by its configz endpoint; None when that may not be read."""
    try:
        answer = cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz")
    except CommandError:
        return None
    return str(json.loads(answer)["kubeletconfig"].get("cpuManagerPolicy", "none"))


def _is_device(resource: str) -> bool:
    return "/" in resource and not resource.startswith(("hugepages-", "kubernetes.io/", "attachable-volumes"))


def _positive(quantity: str) -> bool:
    return quantity.rstrip("KMGTikmn") not in ("", "0")
