"""The objects of one LoadBalancer, one function a kind."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from skylane_operator.model.load_balancer import API_VERSION, KIND, Dataplane
from skylane_operator.plan.base import SYNC_KEY_FILE, interface_name, syncs
from skylane_operator.plan.dns import Record
from skylane_operator.plan.names import (
    TEMPLATE_GENERATION_ANNOTATION,
    labels,
    selector_labels,
    sync_secret_name,
    workload_name,
)
from skylane_operator.plan.types import Plan
from skylane_operator.render.capabilities import capabilities_for
from skylane_operator.render.resources import agent_resources, bird_resources, forwarder_resources
from skylane_operator.render.skeleton import filled

NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks"
DNS_TTL_S = 60
AGENT_UID = 65532  # the "nonroot" of common base images
_SYNC_KEY = PurePosixPath(SYNC_KEY_FILE)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """What the operator knows and the plan does not: its image, and where and as whom it is reached."""

    lb_image: str
    operator_address: str
    operator_server_name: str
    ca_certificate: str
    image_pull_policy: str = "IfNotPresent"


def objects_for(plan: Plan, settings: RenderSettings) -> list[Object]:
    """Everything that shall exist, in the order in which it is applied.

    Empty when the plan is not deployable: then nothing may be applied and nothing pruned either.
    """
    if not plan.deployable:
        return []
    objects = [
        _network_policy(plan),
        _service_account(plan),
        _config_map(plan, settings),
        _service(plan),
        _stateful_set(plan, settings),
    ]
    if plan.load_balancer.spec.replicas > 1:
        objects.append(_pod_disruption_budget(plan))
    return objects


def sync_secret_for(plan: Plan, key: bytes) -> Object | None:
    """The Secret of the session sync, were it to be made now with this key; None where pods know nothing of one another.

    It is made once and never looked at again: the operator may create Secrets, and read none.
    """
    if not syncs(plan.load_balancer.spec.dataplane):
        return None
    metadata = _metadata(plan) | {"name": sync_secret_name(plan.key.name)}
    return filled("session_sync_secret", metadata=metadata, file=_SYNC_KEY.name, key=key.hex())


def _metadata(plan: Plan) -> Object:
    return {
        "name": workload_name(plan.key.name),
        "namespace": plan.key.namespace,
        "labels": labels(plan.key),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": plan.key.name,
                "uid": plan.load_balancer.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _network_policy(plan: Plan) -> Object:
    return filled("network_policy", metadata=_metadata(plan), selector=selector_labels(plan.key))


def _service_account(plan: Plan) -> Object:
    return filled("service_account", metadata=_metadata(plan))


def _config_map(plan: Plan, settings: RenderSettings) -> Object:
    return filled("config_map", metadata=_metadata(plan), ca_certificate=settings.ca_certificate)


def _service(plan: Plan) -> Object:
    return filled("service", metadata=_metadata(plan), selector=selector_labels(plan.key))


def dns_endpoint(plan: Plan, records: Iterable[Record]) -> Object:
    """What external-dns (source crd) makes records of."""
    endpoints = [
        {"dnsName": one.name, "recordType": one.type, "recordTTL": DNS_TTL_S, "targets": list(one.targets)}
        for one in records
    ]
    return filled("dns_endpoint", metadata=_metadata(plan), endpoints=endpoints)


def _pod_disruption_budget(plan: Plan) -> Object:
    return filled("pod_disruption_budget", metadata=_metadata(plan), selector=selector_labels(plan.key))


def _stateful_set(plan: Plan, settings: RenderSettings) -> Object:
    dataplane = plan.load_balancer.spec.dataplane
    return filled(
        "stateful_set",
        metadata=_metadata(plan),
        selector=selector_labels(plan.key),
        replicas=plan.load_balancer.spec.replicas,
        annotations=_pod_annotations(plan),
        node_selector=dataplane.node_selector,
        tolerations=[
            t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in dataplane.tolerations
        ],
        load_balancer=plan.key.name,
        lb_image=settings.lb_image,
        image_pull_policy=settings.image_pull_policy,
        operator_address=settings.operator_address,
        operator_server_name=settings.operator_server_name,
        agent_uid=AGENT_UID,
        capabilities=capabilities_for(network.driver for network in dataplane.networks),
        hugepages_medium=f"HugePages-{dataplane.hugepages.size}",
        sync_secret=sync_secret_name(plan.key.name) if syncs(dataplane) else "",
        sync_key_folder=str(_SYNC_KEY.parent),
        forwarder_resources=forwarder_resources(plan),
        agent_resources=agent_resources(plan),
        bird_resources=bird_resources(plan),
    )


def _pod_annotations(plan: Plan) -> dict[str, str]:
    networks = _multus_networks(plan.load_balancer.spec.dataplane, plan.key.namespace)
    return {
        NETWORKS_ANNOTATION: json.dumps(networks, separators=(",", ":")),
        TEMPLATE_GENERATION_ANNOTATION: plan.template_generation,
    }


def _multus_networks(dataplane: Dataplane, namespace: str) -> list[dict[str, str]]:
    """The network selection elements (Multi-Net specification, 4.1.2.1.2), with interface names of our choice."""
    keys = [network.attachment_key(namespace) for network in dataplane.networks]
    return [
        {"name": key.name, "namespace": key.namespace, "interface": interface_name(index)}
        for index, key in enumerate(keys)
    ]
