"""The single-node cluster: the order in which its parts start and end."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from cluster import (
    binaries,
    cni,
    control_plane,
    device_plugin,
    gotools,
    host,
    kubelet,
    network,
    node,
    owner,
    runtime,
)
from cluster.control_plane import Credentials, Endpoint
from cluster.paths import DATA, KUBECONFIG, LOGS, REPOSITORY, RUN
from lib.proc import CommandError, log_tail, run, wait_until
from lib.steps import step

ENDPOINT = Endpoint(network.NODE_ADDRESS, port=6443, etcd_port=2379, etcd_peer_port=2380)
DAEMONS = (
    "etcd",
    "kube-apiserver",
    "containerd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "device-plugin",
)
PKI = DATA / "pki"
READY_TIMEOUT_S = 120


def up() -> None:
    """Start what does not run yet and wait until the node takes pods.

    Raises:
        TimeoutError: a part did not become ready; the message names it and ends with its log.
        CommandError: a tool failed.
        OtherCheckoutError: a cluster runs that was started from another checkout.

    """
    owner.check()
    if is_up():
        print(f"cluster is up: export KUBECONFIG={KUBECONFIG}")
        return
    with step("Kubernetes and Multus programs"):
        programs = binaries.kubernetes()
        gotools.multus()
    with step("hugepages, cgroup, network namespaces"):
        host.prepare()
        owner.claim()
        network.up()
        cni.write_pci_devices()
        node.start_holder()
    with step("etcd, kube-apiserver, containerd"):
        credentials = _credentials()
        _start_servers(programs, credentials)
    with step("controllers, scheduler, kubelet, kube-proxy, device plugin"):
        _start_node(programs, credentials)
    with step(f"node Ready with {network.NIC_COUNT} x {device_plugin.RESOURCE}"):
        _apply_basics()
        _wait(node_is_ready, "the node to be Ready", "kubelet")
        _wait(
            lambda: capacity().get(device_plugin.RESOURCE) == "4", "the NICs to be offered", "device-plugin"
        )
        _wait(_has_default_account, "ServiceAccount `default`", "kube-controller-manager")
    print(f"export KUBECONFIG={KUBECONFIG}")


def down(*, force: bool = False) -> None:
    """End the cluster from whatever state it is in and leave the host as it was.

    Raises OtherCheckoutError for that of another checkout, unless ``force``.
    """
    if not force:
        owner.check()
    with step("pods and daemons"):
        for name in ("kubelet", "device-plugin"):
            node.stop(name)
        host.kill_processes()
    with step("namespaces, mounts, cgroups, sysctls, hugepages"):
        network.down()
        host.restore()
    with step("files"):
        for folder in (RUN, DATA):
            if folder.exists():
                shutil.rmtree(folder)


def is_up() -> bool:
    """Whether every daemon runs and the node is Ready; cheap, for a start that finds all done."""
    return (
        network.is_up()
        and node.holder() is not None
        and all(node.runs(name) for name in DAEMONS)
        and node_is_ready()
    )


def status() -> dict[str, str]:
    """Each part of the cluster and its state, for people."""
    states = {name: "running" if node.runs(name) else "stopped" for name in (node.HOLDER, *DAEMONS)}
    states["network"] = "up" if network.is_up() else "down"
    states["node"] = "Ready" if states["kube-apiserver"] == "running" and node_is_ready() else "not Ready"
    return states


def kubectl(*arguments: str | Path, stdin: str | None = None, timeout_s: float = 120) -> str:
    """Output of kubectl as the cluster's administrator. Raises CommandError with what it said."""
    program = binaries.kubernetes() / "kubectl"
    return run(program, f"--kubeconfig={KUBECONFIG}", *arguments, stdin=stdin, timeout_s=timeout_s)


def node_is_ready() -> bool:
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    return _answer("get", "node", kubelet.NODE_NAME, f"-o=jsonpath={path}") == "True"


def capacity() -> dict[str, str]:
    """What the node can allocate, by resource name; empty while there is no node."""
    answer = _answer("get", "node", kubelet.NODE_NAME, "-o=jsonpath={.status.allocatable}")
    return dict(json.loads(answer)) if answer else {}


def restart_kubelet() -> None:
    """Restart the kubelet and wait until the node is Ready again; its pods go on running."""
    kubelet.restart(binaries.kubernetes(), _credentials(), ENDPOINT)
    _wait(node_is_ready, "the node to be Ready", "kubelet")


def restart_api_server() -> None:
    node.stop("kube-apiserver")
    _start_api_server(binaries.kubernetes(), _credentials())


def change_hugepages(pages: int) -> None:
    """Add (or with a negative number take) free hugepages of 2 MiB and let the node see it."""
    host.change_hugepages(pages)
    restart_kubelet()


def set_nics_offered(count: int) -> None:
    """Let the device plugin offer the first ``count`` NICs, and wait until the node says so."""
    device_plugin.set_offered(count)
    _wait_for_nics(count)


def _credentials() -> Credentials:
    """The cluster's certificates: made once in its life."""
    if KUBECONFIG.exists():
        return Credentials.load(PKI)
    credentials = Credentials.create(PKI, ENDPOINT)
    shutil.copy2(PKI / "admin.kubeconfig", KUBECONFIG)
    return credentials


def _start_servers(programs: Path, credentials: Credentials) -> None:
    cni.install(credentials, ENDPOINT)
    node.start_inside("etcd", control_plane.etcd_command(ENDPOINT, DATA / "etcd"))
    _start_api_server(programs, credentials, wait=False)
    runtime.start()
    _wait(_api_is_ready, "the API server", "kube-apiserver")


def _start_api_server(programs: Path, credentials: Credentials, *, wait: bool = True) -> None:
    node.start_inside("kube-apiserver", control_plane.apiserver_command(programs, ENDPOINT, credentials))
    if wait:
        _wait(_api_is_ready, "the API server", "kube-apiserver")


def _start_node(programs: Path, credentials: Credentials) -> None:
    manager = control_plane.controller_manager_command(programs, credentials)
    node.start_inside("kube-controller-manager", manager)
    node.start_inside("kube-scheduler", control_plane.scheduler_command(programs, credentials))
    kubelet.start(programs, credentials, ENDPOINT)
    kubelet.start_proxy(programs, credentials, ENDPOINT)
    plugin = ["env", "-C", str(REPOSITORY / "e2e"), sys.executable, "-m", "cluster.device_plugin"]
    node.start_beside("device-plugin", plugin)


def _apply_basics() -> None:
    """The CRD must be known before an object of its kind is taken."""
    definition, *others = cni.manifests()
    kubectl("apply", "-f", "-", stdin=json.dumps(definition))
    name = definition["metadata"]["name"]
    kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    documents = {"apiVersion": "v1", "kind": "List", "items": others}
    kubectl("apply", "-f", "-", stdin=json.dumps(documents))


def _api_is_ready() -> bool:
    return _answer("get", "--raw", "/readyz") == "ok"


def _has_default_account() -> bool:
    return bool(_answer("get", "serviceaccount", "default", "-o=name"))


def _answer(*arguments: str) -> str:
    """What kubectl says, or nothing while the API server or the object is not there."""
    try:
        return kubectl("--request-timeout=5s", *arguments, timeout_s=10)
    except CommandError:
        return ""


def _wait_for_nics(count: int) -> None:
    def offered() -> bool:
        return capacity().get(device_plugin.RESOURCE) == str(count)

    _wait(offered, f"the node to offer {count} NICs", "device-plugin")


def _wait(condition: Callable[[], object], what: str, program: str) -> None:
    try:
        wait_until(condition, what, READY_TIMEOUT_S)
    except TimeoutError as late:
        raise TimeoutError(f"{late}\n{log_tail(LOGS / f'{program}.log')}") from late
