"""Services of type LoadBalancer in a test's world, and what a pod's files say of them."""

import contextlib
import json

from operator_support import endpoint_slice, service

POD = "edge-skylane-0"
SLICES = ("discovery.k8s.io/v1", "endpointslices")
CLASS = "skylane.dev/edge"


def add_service(world, name="web", *addresses, ports=(80,), annotations=None, **spec):
    spec = {"type": "LoadBalancer", "loadBalancerClass": CLASS, "allocateLoadBalancerNodePorts": False} | spec
    body = service(world.namespace, name, *ports, **spec)
    body["metadata"]["annotations"] = annotations or {}
    world.create("v1", "services", body)
    world.create(*SLICES, endpoint_slice(world.namespace, name, *(addresses or ("10.244.0.5",))))


def listeners_on_disk(world, pod=POD):
    found = []
    for file in sorted((world.pod_folder(pod) / "config" / "listeners").glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            found.append(json.loads(file.read_text()))
    return found


def served(world, pod=POD):
    """(address, port) to the endpoints that the pod's files name."""
    return {
        (one["vip"], one["port"]): [backend["address"] for backend in one["backends"]]
        for one in listeners_on_disk(world, pod)
    }


def addresses_of(world, name="web"):
    return world.service(name)["status"].get("loadBalancer", {}).get("ingress", [])


async def serving(world, *addresses, pool=("192.0.2.8/30",), annotations=None, **kwargs):
    """A load balancer without listeners of its own, a pool and one Service, up to programmed; gives the agent."""
    kwargs = {"services": (), "pools": [world.add_pool(*pool)]} | kwargs
    world.add_load_balancer(**kwargs)
    add_service(world, "web", *addresses, annotations=annotations)
    await world.start_operator()
    await world.until_pod(POD)
    world.start_forwarder(POD)
    agent = world.start_agent(POD)
    await world.until_service_condition("Programmed", "True")
    return agent
