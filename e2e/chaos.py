"""`make chaos`: what each fault costs clients, with two pods that announce a VIP to a router and a steady load on it.

The two pods know each other's flows (spec.dataplane.sessionSync), unless told otherwise.

Writes build/chaos.json, rows {case, session_sync, connections, lost, streams, resets, outage_ms, gap_ms, stall_ms, failures}; their
meaning is in `lib.load.Toll`. A case that does not come back to where it began ends the run with a status other than zero.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from announced import NAME, NICS, PODS, PORT, VIP, announcing, running_router, until_next_hops
from leader import leader_pod, wait_for_all_replicas, wait_for_another_leader

import demo_steps as steps
from cluster import network, single_node
from cluster.paths import REPOSITORY
from lib.containers import crash_process, kill_container
from lib.kube import Cluster
from lib.load import Load, Toll
from lib.net import ip, run_in
from lib.proc import wait_until

REPORT = REPOSITORY / "build" / "chaos.json"
# What is before the fault, and after everything is as it was: windows of the measurement.
SETTLE_S = 2.0
LINK_DOWN_S = 3.0
RECOVERY_TIMEOUT_S = 120
# By addresses alone a router would send all that one client asks to one pod.
HASH_POLICY = "net.ipv4.fib_multipath_hash_policy"
COLUMNS = ("case", "connections", "lost", "streams", "resets", "outage_ms", "gap_ms", "stall_ms")


@dataclass(frozen=True)
class Case:
    """A fault: `strike` returns when it is over, but for what the system itself has to mend."""

    name: str
    strike: Callable[[Cluster], None]


def nothing(_: Cluster) -> None:
    """What the load says of itself."""


def agent_kill(cluster: Cluster) -> None:
    kill_container(cluster, PODS[0], "agent")


def routing_daemon_kill(cluster: Cluster) -> None:
    kill_container(cluster, PODS[0], "bird")


def forwarder_crash(cluster: Cluster) -> None:
    """Started again in place."""
    crash_process(cluster, PODS[0], "forwarder")


def forwarder_kill(cluster: Cluster) -> None:
    kill_container(cluster, PODS[0], "forwarder")


def operator_kill(cluster: Cluster) -> None:
    leader = leader_pod(cluster)
    kill_container(cluster, leader, "operator", steps.OPERATOR_NAMESPACE)
    wait_for_another_leader(cluster, leader)


def apiserver_kill(_: Cluster) -> None:
    single_node.restart_api_server()


def pod_kill(cluster: Cluster) -> None:
    """Without grace: nobody in it is told before."""
    before = cluster.read("pod", PODS[0])["metadata"]["uid"]
    cluster.kubectl("delete", "pod", PODS[0], "--grace-period=0", "--force")
    _until_replaced(cluster, {PODS[0]: before})


def pod_delete(cluster: Cluster) -> None:
    """As when its node is drained."""
    before = cluster.read("pod", PODS[0])["metadata"]["uid"]
    cluster.kubectl("delete", "pod", PODS[0], "--wait=false")
    _until_replaced(cluster, {PODS[0]: before})


def link_loss(_: Cluster) -> None:
    link = _link_of(NICS[0])
    ip(network.ROUTER, f"link set {link} down")
    try:
        time.sleep(LINK_DOWN_S)
    finally:
        ip(network.ROUTER, f"link set {link} up")


def rolling_upgrade(cluster: Cluster) -> None:
    """Another template: each pod is replaced, one at a time."""
    before = {pod: cluster.read("pod", pod)["metadata"]["uid"] for pod in PODS}
    flows = cluster.read(steps.KIND, NAME)["spec"]["dataplane"]["maxFlowsPerWorker"]
    patch = {"spec": {"dataplane": {"maxFlowsPerWorker": flows - 1024}}}
    cluster.kubectl("patch", steps.KIND, NAME, "--type=merge", "-p", json.dumps(patch))
    _until_replaced(cluster, before)


CASES = (
    Case("none", nothing),
    Case("agent-kill", agent_kill),
    Case("operator-kill", operator_kill),
    Case("apiserver-kill", apiserver_kill),
    Case("routing-daemon-kill", routing_daemon_kill),
    Case("forwarder-crash", forwarder_crash),
    Case("forwarder-kill", forwarder_kill),
    Case("pod-delete", pod_delete),
    Case("pod-kill", pod_kill),
    Case("link-loss", link_loss),
    Case("rolling-upgrade", rolling_upgrade),
)


def _link_of(nic: str) -> str:
    """The router's bridge port behind which a NIC's address is."""
    run_in(network.ROUTER, "ping", "-c", "1", "-W", "2", nic)
    mac = ip(network.ROUTER, f"neigh show {nic} dev lb0").split()[2]
    table = run_in(network.ROUTER, "bridge", "fdb", "show", "br", "lb0").splitlines()
    return next(line.split()[2] for line in table if line.startswith(mac) and "permanent" not in line)


def _until_replaced(cluster: Cluster, before: dict[str, str]) -> None:
    def replaced() -> bool:
        found = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in steps.pods_of(cluster, NAME)}
        return all(found.get(pod, uid) != uid for pod, uid in before.items())

    wait_until(replaced, f"{', '.join(before)} to be replaced", RECOVERY_TIMEOUT_S, interval_s=0.2)


def _recover(cluster: Cluster) -> None:
    """Until status, routes and replicas are as before."""
    for pod in PODS:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=90s")
    cluster.wait_ready(steps.KIND, NAME, RECOVERY_TIMEOUT_S)
    until_next_hops(*NICS)
    wait_for_all_replicas(cluster)


def measure(cluster: Cluster, case: Case) -> Toll:
    _recover(cluster)
    load = Load(network.CLIENT, VIP, PORT)
    try:
        time.sleep(SETTLE_S)
        case.strike(cluster)
        _recover(cluster)
        time.sleep(SETTLE_S)
    finally:
        toll = load.finish()
    return toll


@contextlib.contextmanager
def shared_by_ports() -> Iterator[None]:
    """Inside, the router looks at ports, too, where it chooses one of equal paths."""
    policy = run_in(network.ROUTER, "sysctl", "-n", HASH_POLICY).strip()
    run_in(network.ROUTER, "sysctl", "-q", "-w", f"{HASH_POLICY}=1")
    try:
        yield
    finally:
        run_in(network.ROUTER, "sysctl", "-q", "-w", f"{HASH_POLICY}={policy}")


def report(rows: list[dict[str, object]]) -> None:
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(rows, indent=1) + "\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in COLUMNS) + " |")
    print(f"\n{REPORT.relative_to(REPOSITORY)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(case.name for case in CASES))
    parser.add_argument("--without-session-sync", dest="session_sync", action="store_false")
    given = parser.parse_args()
    wanted, session_sync = given.cases, given.session_sync
    if unknown := set(wanted) - {case.name for case in CASES}:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    steps.build_all()
    steps.start_cluster()
    cluster = steps.demo_cluster()
    steps.install_chart(cluster)
    steps.apply_example(cluster)
    rows: list[dict[str, object]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_router(Path(folder)),
        announcing(cluster, session_sync=session_sync),
        shared_by_ports(),
    ):
        for case in CASES:
            if not wanted or case.name in wanted:
                toll = measure(cluster, case)
                rows.append({"case": case.name, "session_sync": session_sync, **asdict(toll)})
                print(rows[-1], flush=True)
    report(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
