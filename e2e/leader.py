"""Which replica of the operator leads, and waiting for another one."""

from __future__ import annotations

import demo_steps as steps
from lib.kube import Cluster
from lib.proc import wait_until

OPERATOR = "skylane-operator"
FOLLOW_TIMEOUT_S = 15


def leader_pod(cluster: Cluster) -> str:
    """The operator's pod that leads: the holder of the Lease is called after it."""
    lease = cluster.read("lease", OPERATOR, steps.OPERATOR_NAMESPACE)
    return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]


def leader_address(cluster: Cluster) -> str:
    """Where agents find the leader."""
    piece = cluster.read("endpointslice", OPERATOR, steps.OPERATOR_NAMESPACE)
    return str(piece["endpoints"][0]["addresses"][0])


def wait_for_all_replicas(cluster: Cluster) -> None:
    where = (f"deployment/{OPERATOR}", "-n", steps.OPERATOR_NAMESPACE, "--timeout=60s")
    cluster.kubectl("rollout", "status", *where)
    # Status alone would be content with one: the strategy allows the other to be away.
    cluster.kubectl("wait", *where, "--for=jsonpath={.status.readyReplicas}=2")


def wait_for_another_leader(cluster: Cluster, before: str) -> None:
    """Until another pod than `before` leads, and is the one that agents are sent to."""

    def follows() -> bool:
        leader = leader_pod(cluster)
        if leader in ("", before):
            return False
        address = cluster.read("pod", leader, steps.OPERATOR_NAMESPACE)["status"]["podIP"]
        return bool(leader_address(cluster) == address)

    wait_until(follows, f"a leader after {before}", FOLLOW_TIMEOUT_S, interval_s=0.1)
