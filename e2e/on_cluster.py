"""`make demo-on-cluster`: the chart on the cluster of KUBECONFIG, and what its nodes still lack."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import demo_steps as steps
from cluster import binaries, gotools
from lib.kube import Cluster
from lib.nodes import cluster_lacks, cpu_policy, node_lacks, node_offers
from lib.proc import CommandError

IMAGES_VARIABLE = "SKYLANE_IMAGES"
HELP = f"""\
{IMAGES_VARIABLE} is not set, so the nodes must already hold skylane/operator and skylane/lb.
To take them from your registry: build both targets of the Dockerfile, push them, and set
{IMAGES_VARIABLE}=registry.example/skylane"""


def demo_on_cluster(environment: Mapping[str, str]) -> int:
    """Install the chart and report; the exit status."""
    kubeconfig = Path(environment.get("KUBECONFIG", ""))
    if not kubeconfig.is_file():
        print("KUBECONFIG must name the kubeconfig file of your cluster", file=sys.stderr)
        return 2
    cluster = Cluster(_kubectl(), _helm(), kubeconfig)
    settings = ["operator.image.tag=", "lb.image.tag="]
    if repository := environment.get(IMAGES_VARIABLE):
        settings += [f"{name}.image.repository={repository}/{name}" for name in ("operator", "lb")]
    else:
        print(HELP)
    try:
        steps.install_chart(cluster, *settings)
        print(f"the chart is installed in namespace {steps.OPERATOR_NAMESPACE}, the operator is ready\n")
        installed = True
    except CommandError as error:
        print(f"the chart did not become ready: {error}\n", file=sys.stderr)
        installed = False
    _report(cluster)
    return 0 if installed else 1


def _report(cluster: Cluster) -> None:
    for lack in cluster_lacks(cluster):
        print(f"cluster: {lack}")
    for node in cluster.read_all("nodes"):
        name = steps.name_of(node)
        print(f"node {name}: offers {node_offers(node)}")
        for lack in node_lacks(node, cpu_policy(cluster, name)):
            print(f"node {name}: {lack}")


def _kubectl() -> Path:
    found = shutil.which("kubectl")
    return Path(found) if found else binaries.kubernetes() / "kubectl"


def _helm() -> Path:
    found = shutil.which("helm")
    return Path(found) if found else gotools.helm()
