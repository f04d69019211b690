"""The smallest inputs that make a plan; each test changes what it is about."""

from skylane_operator.model.kubernetes import NetworkAttachmentDefinition, Node, Pod
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.plan import Inputs


def load_balancer(*, name="demo", replicas=1, listeners=None, created="2026-01-01T00:00:00Z", **dataplane):
    listener = {
        "name": "web",
        "vip": "198.51.100.10",
        "port": 80,
        "backends": [{"service": "echo", "port": 80}],
    }
    network = {
        "name": "external",
        "networkAttachment": "nic",
        "resourceName": "skylane.dev/nic",
        "driver": "af_packet",
        "addresses": [f"10.77.0.{11 + ordinal}/24" for ordinal in range(replicas)],
        "gateway": "10.77.0.1",
    }
    defaults = {
        "cpu": {"policy": "shared"},
        "hugepages": {"total": "256Mi"},
        "networks": [network],
        "localAddresses": [f"10.77.0.{101 + ordinal}" for ordinal in range(replicas)],
    }
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": "u",
        "generation": 1,
        "creationTimestamp": created,
    }
    spec = {"replicas": replicas, "dataplane": defaults | dataplane, "listeners": listeners or [listener]}
    return LoadBalancer.model_validate({"metadata": metadata, "spec": spec})


def node(name, *, cpu="8", memory="16Gi", hugepages="1Gi", nics=2, taints=()):
    allocatable = {"cpu": cpu, "memory": memory, "hugepages-2Mi": hugepages, "skylane.dev/nic": str(nics)}
    body = {
        "metadata": {"name": name},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": allocatable},
    }
    return Node.model_validate(body)


def pod(name, node_name, requests, *, load_balancer=None, namespace="default"):
    labels = {"skylane.dev/loadbalancer": load_balancer} if load_balancer else {}
    return Pod.model_validate(
        {
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node_name, "containers": [{"resources": {"requests": requests}}]},
            "status": {"phase": "Running"},
        }
    )


def inputs(*, nodes=(), pods=(), services=None, slices=None, others=(), **spec):
    attachment = NetworkAttachmentDefinition.model_validate(
        {"metadata": {"name": "nic", "namespace": "default"}}
    )
    return Inputs(
        load_balancer=load_balancer(**spec),
        services=services or {},
        endpoint_slices=slices or {},
        nodes=tuple(nodes),
        pods=tuple(pods),
        network_attachments={attachment.metadata.key: attachment},
        other_claims=tuple(others),
    )
