"""The kubelet with the static CPU manager, and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster import host, network, node, runtime
from cluster.control_plane import POD_CIDR, Credentials, Endpoint
from cluster.paths import DATA

NODE_NAME = "skylane-node"


def start(binaries: Path, credentials: Credentials, endpoint: Endpoint) -> None:
    """Start the kubelet; it registers the node by itself."""
    config = DATA / "kubelet.json"
    config.write_text(json.dumps(_kubelet_config(credentials), indent=2))
    kubeconfig = credentials.kubeconfig("kubelet", endpoint, f"system:node:{NODE_NAME}", "system:nodes")
    command = [
        f"{binaries}/kubelet",
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={network.NODE_ADDRESS}",
        f"--cert-dir={DATA}/kubelet-pki",
        "--root-dir=/var/lib/kubelet",
    ]
    node.start_inside("kubelet", command)


def restart(binaries: Path, credentials: Credentials, endpoint: Endpoint) -> None:
    """Restart the kubelet; pods go on running, the node's capacity is measured anew."""
    node.stop("kubelet", timeout_s=20)
    start(binaries, credentials, endpoint)


def start_proxy(binaries: Path, credentials: Credentials, endpoint: Endpoint) -> None:
    """Start kube-proxy, with its iptables rules in the node's network namespace."""
    kubeconfig = credentials.kubeconfig("kube-proxy", endpoint, "system:kube-proxy")
    config = DATA / "kube-proxy.json"
    config.write_text(json.dumps(_proxy_config(kubeconfig), indent=2))
    node.start_inside("kube-proxy", [f"{binaries}/kube-proxy", f"--config={config}"])


def _kubelet_config(credentials: Credentials) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(credentials.authority.file)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{runtime.SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{host.CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": "",
        "podLogsDir": "/var/log/pods",
        # One of two cores is for everybody, the other for one exclusive pod.
        "cpuManagerPolicy": "static",
        "reservedSystemCPUs": "0",
        # Disk and memory belong to the whole machine: only a real shortage evicts.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "registerNode": True,
        "healthzBindAddress": "127.0.0.1",
        "nodeStatusUpdateFrequency": "2s",
        "nodeStatusReportFrequency": "10s",
        "syncFrequency": "10s",
    }


def _proxy_config(kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": POD_CIDR,
        "detectLocalMode": "ClusterCIDR",
        "bindAddress": "0.0.0.0",  # noqa: S104  inside the node's own network namespace
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # The connection table's size is a setting of the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
