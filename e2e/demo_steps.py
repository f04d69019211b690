"""The demo's steps as functions that answer what they saw; the demo prints it, the suite asserts it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from cluster import binaries, gotools, images, network, single_node
from cluster.paths import KUBECONFIG, REPOSITORY
from lib.kube import Cluster
from lib.proc import wait_until
from lib.steps import step
from lib.traffic import Answers, Client, Plan, requests_from

EXAMPLE = REPOSITORY / "crds" / "examples" / "valid" / "demo.yaml"
CHART = REPOSITORY / "charts" / "skylane"
CRDS = sorted((REPOSITORY / "crds").glob("*.yaml"))
RELEASE, OPERATOR_NAMESPACE = "skylane", "skylane-system"
KIND = "loadbalancer"
REQUESTS = 300
READY_TIMEOUT_S = 90
ROLLOUT_TIMEOUT_S = 60
# While the Deployment is scaled: one request each 5 ms, until told to stop.
STEADY_INTERVAL_S = 0.005
STEADY_LIMIT_S = 90.0


class DemoError(Exception):
    """What the demo is there to show is not so."""


def build_all() -> None:
    """Programs and images, side by side: one waits for the processor, the other for the mirror."""
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(_build_programs), pool.submit(_build_images)]
        for job in jobs:
            job.result()


def _build_programs() -> None:
    with step("Kubernetes programs, compiled from the Go module proxy"):
        binaries.kubernetes()
    with step("Multus and Helm, compiled from the Go module proxy"):
        gotools.multus()
        gotools.helm()


def _build_images() -> None:
    for image in images.IMAGES:
        with step(f"image {image.name}, from its Dockerfile"):
            images.build([image])


def demo_cluster() -> Cluster:
    """The running single-node cluster."""
    return Cluster(binaries.kubernetes() / "kubectl", gotools.helm(), KUBECONFIG)


def start_cluster() -> None:
    """The cluster, with the images in its containerd."""
    single_node.up()
    images.load()


def install_chart(cluster: Cluster, *settings: str) -> None:
    """Install or upgrade the chart and wait for the operator; Helm itself never upgrades a CRD.

    The images are named by their content, so that a changed build replaces the pods of the one before.
    """
    for crd in CRDS:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", crd)
        cluster.kubectl(
            "wait", "--for=condition=Established", f"crd/{crd.stem}s.skylane.dev", "--timeout=30s"
        )
    words: list[str | Path] = [
        "upgrade",
        RELEASE,
        CHART,
        "--install",
        "--namespace",
        OPERATOR_NAMESPACE,
        "--create-namespace",
    ]
    for setting in settings or _content_tags():
        words += ["--set-string", setting]
    cluster.helm(*words, "--skip-crds", "--wait", "--timeout", "120s")


def _content_tags() -> list[str]:
    return [f"operator.image.tag={images.OPERATOR.content_tag}", f"lb.image.tag={images.LB.content_tag}"]


def example() -> list[dict[str, Any]]:
    """The objects of the example file."""
    return [document for document in yaml.safe_load_all(EXAMPLE.read_text()) if document]


def load_balancer() -> dict[str, Any]:
    """The example's LoadBalancer, as written."""
    return next(document for document in example() if document["kind"] == "LoadBalancer")


def name_of(document: dict[str, Any]) -> str:
    return str(document["metadata"]["name"])


def deployment_name() -> str:
    return next(name_of(document) for document in example() if document["kind"] == "Deployment")


def url() -> str:
    listener = load_balancer()["spec"]["listeners"][0]
    return f"http://{listener['vip']}:{listener['port']}/"


def service_name() -> str:
    """The example's Service of type LoadBalancer."""
    return next(name_of(one) for one in example() if one.get("spec", {}).get("type") == "LoadBalancer")


def wait_for_service(cluster: Cluster) -> str:
    """Wait until every pod serves the Service of type LoadBalancer, route its address to them; its URL."""
    name, condition = service_name(), "skylane.dev/Programmed"

    def programmed() -> bool:
        status = cluster.read("service", name)["status"]
        return any(
            one["type"] == condition and one["status"] == "True" for one in status.get("conditions", ())
        )

    wait_until(programmed, f"Service {name} to be {condition}", READY_TIMEOUT_S, interval_s=0.2)
    address = cluster.read("service", name)["status"]["loadBalancer"]["ingress"][0]["ip"]
    network.set_vip_route(address, next_hops())
    return f"http://{address}/"


def next_hops() -> list[str]:
    """Addresses of the load balancer's pods."""
    spec = load_balancer()["spec"]
    addresses = spec["dataplane"]["networks"][0]["addresses"][: spec["replicas"]]
    return [address.partition("/")[0] for address in addresses]


def apply_example(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", EXAMPLE)
    cluster.kubectl("rollout", "status", f"deployment/{deployment_name()}", "--timeout=60s", timeout_s=70)


def wait_for_load_balancer(cluster: Cluster) -> None:
    """Wait until every pod is of this build and Ready=True; then route the VIP to the pods."""
    spec, name = load_balancer()["spec"], name_of(load_balancer())
    wait_until(
        lambda: _runs_this_build(cluster, name, spec["replicas"]),
        f"{spec['replicas']} load balancer pod of this build ({images.LB.content_tag})",
        READY_TIMEOUT_S,
        interval_s=0.3,
    )
    cluster.wait_ready(KIND, name, READY_TIMEOUT_S)
    for vip in {listener["vip"] for listener in spec["listeners"]}:
        network.set_vip_route(vip, next_hops())


def pods_of(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """The load balancer's pods."""
    return cluster.read_all("pods", "-n", "default", "-l", f"skylane.dev/loadbalancer={name}")


def _runs_this_build(cluster: Cluster, name: str, replicas: int) -> bool:
    pods = pods_of(cluster, name)
    fresh = [pod for pod in pods if pod["spec"]["containers"][0]["image"].endswith(images.LB.content_tag)]
    return len(pods) == len(fresh) == replicas


def nic_shape(cluster: Cluster) -> str:
    """How the pod asks for its NIC: the same two lines as for an SR-IOV virtual function."""
    pod = pods_of(cluster, name_of(load_balancer()))[0]
    annotation = pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"]
    resource = load_balancer()["spec"]["dataplane"]["networks"][0]["resourceName"]
    limits = next(c["resources"]["limits"] for c in pod["spec"]["containers"] if c["name"] == "forwarder")
    return f"k8s.v1.cni.cncf.io/networks: {annotation}\n{resource}: {limits[resource]}"


def send_requests(count: int = REQUESTS, target: str = "") -> Answers:
    """``count`` requests from the client outside the cluster to the VIP, or to another URL.

    Raises:
        DemoError: one failed.

    """
    answers = requests_from(network.CLIENT, Plan(target or url(), count, limit_s=60.0))
    if answers.failed or answers.total != count:
        said = "\n".join(answers.failures)
        raise DemoError(f"{answers.failed} failed of {answers.total} requests ({count} wanted)\n{said}")
    return answers


def scale_under_load(cluster: Cluster) -> Answers:
    """Scale the Deployment from its replicas to one less and back, requests going on until the pod is gone.

    Raises:
        DemoError: a request failed, or the pod that came with the second scaling never answered.

    """
    name = deployment_name()
    before = cluster.read("deployment", name)["spec"]["replicas"]
    client = Client(network.CLIENT, Plan(url(), 1_000_000, STEADY_LIMIT_S, STEADY_INTERVAL_S))
    try:
        known = _backend_pods(cluster, name)
        _scale(cluster, name, before - 1)
        _scale(cluster, name, before)
        new = _backend_pods(cluster, name) - known
        settled = send_requests(REQUESTS // 5)
        gone = known - _backend_pods(cluster, name)
        what = f"pod {', '.join(sorted(gone))} to end"
        wait_until(lambda: not gone & _backend_pods(cluster, name, ending=True), what, ROLLOUT_TIMEOUT_S)
    finally:
        answers = client.finish()
    if answers.failed:
        raise DemoError(
            "\n".join([f"{answers.failed} of {answers.total} requests failed", *answers.failures])
        )
    if silent := sorted(new - set(settled.served)):
        raise DemoError(f"backends that never answered: {', '.join(silent)}")
    return answers


def _scale(cluster: Cluster, deployment: str, replicas: int) -> None:
    """Scale, and wait until the LoadBalancer's status counts as many backends and is Ready."""
    cluster.kubectl("scale", f"deployment/{deployment}", f"--replicas={replicas}")
    name = name_of(load_balancer())

    def counted() -> bool:
        return bool(cluster.read(KIND, name)["status"].get("backends") == replicas)

    wait_until(counted, f"{KIND} {name} to count {replicas} backends", ROLLOUT_TIMEOUT_S, interval_s=0.2)
    cluster.wait_ready(KIND, name, ROLLOUT_TIMEOUT_S)


def _backend_pods(cluster: Cluster, deployment: str, *, ending: bool = False) -> set[str]:
    """Names of the pods behind the Deployment; with ``ending`` those that are being deleted, too."""
    selector = cluster.read("deployment", deployment)["spec"]["selector"]["matchLabels"]
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = cluster.read_all("pods", "-n", "default", "-l", labels)
    return {name_of(pod) for pod in pods if ending or "deletionTimestamp" not in pod["metadata"]}


def logs_of(cluster: Cluster, folder: Path) -> list[Path]:
    """Logs of the operator and of the load balancer's pods, written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pods = [(OPERATOR_NAMESPACE, pod) for pod in cluster.read_all("pods", "-n", OPERATOR_NAMESPACE)]
    pods += [("default", pod) for pod in pods_of(cluster, name_of(load_balancer()))]
    files = []
    for namespace, pod in pods:
        file = folder / f"{name_of(pod)}.log"
        file.write_text(
            cluster.kubectl("logs", "-n", namespace, name_of(pod), "--all-containers", "--prefix")
        )
        files.append(file)
    return files
