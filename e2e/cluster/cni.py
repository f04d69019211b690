"""Pod networking: Multus (thin) over ptp and host-local, and test NICs moved in by host-device.

ptp instead of a bridge: packets between two pods then pass the node's own routing, where kube-proxy's
translation of Service addresses sees both directions, with no bridge-netfilter module.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from cluster import gotools, network, node
from cluster.control_plane import Credentials, Endpoint
from cluster.device_plugin import RESOURCE
from cluster.paths import DATA, LOGS

PLUGINS = Path("/usr/lib/cni")
BIN_FOLDER = DATA / "cni-bin"
CONF_FOLDER = DATA / "cni-conf"
ATTACHMENT = "skylane-nic"
MULTUS_USER = "skylane-e2e:multus"


def install(credentials: Credentials, endpoint: Endpoint) -> None:
    """Put plugins and configuration where containerd looks for them."""
    BIN_FOLDER.mkdir(parents=True, exist_ok=True)
    CONF_FOLDER.mkdir(parents=True, exist_ok=True)
    for plugin in PLUGINS.iterdir():
        _link(BIN_FOLDER / plugin.name, plugin)
    shutil.copy2(gotools.multus(), BIN_FOLDER / "multus")
    kubeconfig = credentials.kubeconfig("multus", endpoint, MULTUS_USER)
    cluster_network = CONF_FOLDER / "10-pods.conf"
    _write(cluster_network, _pod_network())
    _write(CONF_FOLDER / "00-multus.conf", _multus(kubeconfig, cluster_network))


def write_pci_devices() -> None:
    """For each test NIC what host-device reads of a PCI device: its interface and its driver."""
    for name in network.nic_names():
        device = node.PCI_FOLDER / name
        (device / "net" / name).mkdir(parents=True, exist_ok=True)
        (device / "veth").mkdir(exist_ok=True)
        _link(device / "driver", Path("veth"))


def manifests() -> list[dict[str, Any]]:
    """The CRD of NetworkAttachmentDefinition, the right of Multus to read it, and the test NICs' one."""
    return [_definition(), *_rights(), attachment("default")]


def attachment(namespace: str) -> dict[str, Any]:
    """The test NICs' NetworkAttachmentDefinition, of the same shape as for SR-IOV VFs."""
    config = {"cniVersion": "1.0.0", "name": ATTACHMENT, "type": "host-device"}
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": ATTACHMENT,
            "namespace": namespace,
            "annotations": {"k8s.v1.cni.cncf.io/resourceName": RESOURCE},
        },
        "spec": {"config": json.dumps(config)},
    }


def _pod_network() -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": network.POD_SUBNET}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    # One plugin, not a list of one: Multus 4.2.2 forgets the fields of a list's plugins before it deletes.
    return {"cniVersion": "1.0.0", "name": "pods", "type": "ptp", "ipMasq": False, "ipam": ipam}


def _multus(kubeconfig: Path, cluster_network: Path) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "multus",
        "type": "multus",
        "kubeconfig": str(kubeconfig),
        "clusterNetwork": str(cluster_network),
        "confDir": str(CONF_FOLDER),
        "cniDir": str(DATA / "multus"),
        "binDir": str(BIN_FOLDER),
        "logFile": str(LOGS / "multus.log"),
        "logLevel": "verbose",
        "logToStderr": False,
    }


def _definition() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"config": {"type": "string"}}}},
    }
    names = {
        "kind": "NetworkAttachmentDefinition",
        "plural": "network-attachment-definitions",
        "singular": "network-attachment-definition",
        "shortNames": ["net-attach-def"],
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "network-attachment-definitions.k8s.cni.cncf.io"},
        "spec": {"group": "k8s.cni.cncf.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _rights() -> list[dict[str, Any]]:
    rules = [
        {"apiGroups": ["k8s.cni.cncf.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["get", "update", "patch"]},
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]},
    ]
    kind = "rbac.authorization.k8s.io"
    metadata = {"name": "skylane-e2e-multus"}
    role = {"apiVersion": f"{kind}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{kind}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": kind, "kind": "ClusterRole", "name": metadata["name"]},
        "subjects": [{"apiGroup": kind, "kind": "User", "name": MULTUS_USER}],
    }
    return [role, binding]


def _write(file: Path, document: dict[str, Any]) -> None:
    file.write_text(json.dumps(document, indent=2) + "\n")


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
