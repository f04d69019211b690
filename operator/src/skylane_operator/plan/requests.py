"""What one pod asks of its node."""

from collections import Counter

from skylane_operator.model.load_balancer import CpuPolicy, Dataplane
from skylane_operator.model.quantity import units_of
from skylane_operator.plan.types import PodRequests

# One CPU beside the workers runs EAL's main thread: control socket, configuration swaps, housekeeping.
CONTROL_CPUS = 1
EXCLUSIVE_MILLICORES = 1000
# A worker that shares sleeps when idle; the request is only its weight against the others of the node.
SHARED_MILLICORES = 100
# A Guaranteed pod limits its agent too: fractional, so that the static CPU manager leaves it in the shared pool, and
# enough to start Python within seconds.
AGENT_EXCLUSIVE_MILLICORES = 200
AGENT_SHARED_MILLICORES = 50
AGENT_MEMORY_BYTES = 128 << 20
# BIRD with a few sessions and as many routes as there are VIPs; 5,000 of them are below 10 MiB.
BIRD_EXCLUSIVE_MILLICORES = 50
BIRD_SHARED_MILLICORES = 10
BIRD_MEMORY_BYTES = 32 << 20


def pod_requests(dataplane: Dataplane) -> PodRequests:
    """Requests of one pod; whole CPUs for the forwarder when the policy is exclusive."""
    exclusive = dataplane.cpu.policy is CpuPolicy.EXCLUSIVE
    per_cpu = EXCLUSIVE_MILLICORES if exclusive else SHARED_MILLICORES
    return PodRequests(
        forwarder_millicores=(dataplane.workers + CONTROL_CPUS) * per_cpu,
        forwarder_memory_bytes=units_of(dataplane.memory),
        agent_millicores=AGENT_EXCLUSIVE_MILLICORES if exclusive else AGENT_SHARED_MILLICORES,
        agent_memory_bytes=AGENT_MEMORY_BYTES,
        bird_millicores=BIRD_EXCLUSIVE_MILLICORES if exclusive else BIRD_SHARED_MILLICORES,
        bird_memory_bytes=BIRD_MEMORY_BYTES,
        hugepages_resource=dataplane.hugepages.resource,
        hugepages_bytes=dataplane.hugepages.total_bytes,
        devices=dict(Counter(network.resource_name for network in dataplane.networks)),
    )
