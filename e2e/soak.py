"""`make soak`: endpoints, listeners and pods change without an end under a steady load, and nothing may grow.

Writes build/soak.json: {seconds, changes, load, memory: rows {process, begin_mib, end_mib, max_mib}, drops: by reason}. Ends with a
status other than zero where memory grew, or a packet was dropped for a reason that the changes do not explain.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from announced import NAME, PODS, PORT, VIP, announcing, running_router
from chaos import shared_by_ports
from leader import leader_pod

import demo_steps as steps
from cluster import network
from cluster.paths import REPOSITORY
from lib.containers import container_status, first_process
from lib.kube import Cluster
from lib.load import Load, Toll
from lib.proc import CommandError

REPORT = REPOSITORY / "build" / "soak.json"
CHANGE_EVERY_S = 1.0
SAMPLE_EVERY_S = 5.0
REPLACE_EVERY_S = 60.0
MOST_ENDPOINTS = 6
EXTRA_PORTS = range(8001, 8009)
# One pod lives all the time, and its memory is looked at; the other one is replaced again and again.
STAYS, GOES = PODS
# Python's allocator and the caches of a Kubernetes client come to rest in the first minutes.
WARM_UP = 0.4
MAY_GROW_RATIO, MAY_GROW_MIB = 0.05, 1.0
# A pod that goes costs what is under way to it: a packet of a hundred, a connection of fifty.
MAY_DROP_RATIO, MAY_LOSE_RATIO = 0.01, 0.02
# Why a packet may be dropped here: reason to explanation.
EXPLAINED = {
    "no_flow": "the router sends flows of a pod that goes or comes to another one",
    "no_listener": "a client's packet for a listener that has just been removed",
    "neighbour_unresolved": "the first packets of a pod that has just come",
    "unknown_ethertype": "what a network says beside IP, as LLDP does",
    "bad_arp": "what the other pod probes for and announces is not for us",
    "bad_nd": "the kernels of the network look for IPv6 neighbours",
    "unknown_protocol": "multicast of the network's kernels (IGMP, MLD)",
    "not_ours": "multicast and broadcasts of the network's kernels",
    "not_our_mac": "frames that a bridge floods while it learns a MAC",
}


@dataclass
class Soak:
    """What is seen while it goes on. `drops` are the last count of each forwarder process, by pod uid."""

    cluster: Cluster
    changes: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    pids: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    received: dict[str, int] = field(default_factory=dict)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)

    def change_endpoints(self, dice: random.Random) -> None:
        replicas = dice.randint(2, MOST_ENDPOINTS)
        self.cluster.kubectl("scale", f"deployment/{steps.deployment_name()}", f"--replicas={replicas}")

    def change_listeners(self, dice: random.Random) -> None:
        listeners = self.cluster.read(steps.KIND, NAME)["spec"]["listeners"]
        extra = [
            listeners[0] | {"name": f"extra-{port}", "port": port}
            for port in dice.sample(EXTRA_PORTS, dice.randint(0, len(EXTRA_PORTS)))
        ]
        patch = {"spec": {"listeners": [listeners[0], *extra]}}
        self.cluster.kubectl("patch", steps.KIND, NAME, "--type=merge", "-p", json.dumps(patch))

    def replace_pod(self, _: random.Random) -> None:
        self.cluster.kubectl("delete", "pod", GOES, "--wait=false", "--ignore-not-found")

    def sample(self) -> None:
        for name, pid in self._processes().items():
            self.memory[name].append(_rss_mib(pid))
            self.pids[name].add(pid)
        for pod in steps.pods_of(self.cluster, NAME):
            counts = _counts(self.cluster, pod["metadata"]["name"])
            if counts is not None:
                self.received[pod["metadata"]["uid"]], self.drops[pod["metadata"]["uid"]] = counts

    def _processes(self) -> dict[str, int]:
        containers = {
            name: first_process(container_status(self.cluster, STAYS, name)["containerID"])
            for name in ("forwarder", "agent", "bird")
        }
        operator = container_status(
            self.cluster, leader_pod(self.cluster), "operator", steps.OPERATOR_NAMESPACE
        )
        supervisor = containers.pop("forwarder")
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        return {
            "operator": first_process(operator["containerID"]),
            "forwarder": int(children[0]),
            "supervisor": supervisor,
            **containers,
        }

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "process": name,
                "begin_mib": _middle(series, WARM_UP, WARM_UP + 0.2),
                "end_mib": _middle(series, 0.8, 1.0),
                "max_mib": round(max(series), 1),
            }
            for name, series in sorted(self.memory.items())
        ]

    def total_drops(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for drops in self.drops.values():
            total.update(drops)
        return {reason: count for reason, count in sorted(total.items()) if count}


def _middle(series: list[float], begin: float, end: float) -> float:
    part = series[int(len(series) * begin) : max(int(len(series) * end), int(len(series) * begin) + 1)]
    return round(statistics.median(part), 1)


def _rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _counts(cluster: Cluster, pod: str) -> tuple[int, dict[str, int]] | None:
    """What the pod's forwarder received, and its drops by reason; None while it cannot be asked."""
    query = ("skylane-fwd", "--query", "/run/skylane/control.sock", json.dumps({"command": "stats"}))
    try:
        stats = json.loads(cluster.kubectl("exec", pod, "--container=forwarder", "--", *query))
    except CommandError:
        return None  # it is coming, or going
    return sum(worker["rx_packets"] for worker in stats["workers"]), stats["drops"]


def churn(soak: Soak, seconds: float, dice: random.Random) -> None:
    """Changes, one a second; a pod each minute; samples in between."""
    began = time.monotonic()
    due: dict[str, tuple[float, float, Callable[[], None]]] = {
        "sample": (began, SAMPLE_EVERY_S, soak.sample),
        "pod": (began + REPLACE_EVERY_S, REPLACE_EVERY_S, lambda: soak.replace_pod(dice)),
        "endpoints": (began, 2 * CHANGE_EVERY_S, lambda: soak.change_endpoints(dice)),
        "listeners": (began + CHANGE_EVERY_S, 2 * CHANGE_EVERY_S, lambda: soak.change_listeners(dice)),
    }
    while time.monotonic() < began + seconds:
        name = min(due, key=lambda one: due[one][0])
        when, every, act = due[name]
        time.sleep(max(0.0, when - time.monotonic()))
        act()
        soak.changes[name] += 1
        due[name] = (max(when + every, time.monotonic()), every, act)


def faults_of(soak: Soak, rows: list[dict[str, Any]], toll: Toll) -> list[str]:
    """What must not be."""
    drops, received = soak.total_drops(), sum(soak.received.values())
    faults = [f"{name} was started again" for name, pids in soak.pids.items() if len(pids) > 1]
    if not rows or not received:
        faults.append("nothing was measured")
    if sum(drops.values()) > MAY_DROP_RATIO * received:
        faults.append(f"{sum(drops.values())} of {received} packets dropped")
    if toll.lost > MAY_LOSE_RATIO * toll.connections:
        faults.append(f"{toll.lost} of {toll.connections} connections lost")
    grown = [
        f"{row['process']} grew from {row['begin_mib']} to {row['end_mib']} MiB"
        for row in rows
        if row["end_mib"] > row["begin_mib"] * (1 + MAY_GROW_RATIO) + MAY_GROW_MIB
    ]
    return (
        faults
        + grown
        + [f"{count} packets dropped: {reason}" for reason, count in drops.items() if reason not in EXPLAINED]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    steps.build_all()
    steps.start_cluster()
    cluster = steps.demo_cluster()
    steps.install_chart(cluster)
    steps.apply_example(cluster)
    soak = Soak(cluster)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_router(Path(folder)),
        announcing(cluster),
        shared_by_ports(),
    ):
        load = Load(network.CLIENT, VIP, PORT)
        try:
            churn(soak, given.minutes * 60, random.Random(given.seed))  # noqa: S311 - to be repeated, not to be secret
        finally:
            toll = load.finish()
    rows, drops = soak.rows(), soak.total_drops()
    report = {"seconds": given.minutes * 60, "changes": soak.changes, "load": asdict(toll)}
    report |= {"memory": rows, "drops": drops}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    print(REPORT.read_text())
    faults = faults_of(soak, rows, toll)
    print("\n".join(faults) or "nothing grew, and every drop is explained")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
