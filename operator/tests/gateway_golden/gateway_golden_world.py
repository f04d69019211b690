"""Objects of the Gateway API from one file to their statuses and to what the forwarders shall run.

A document without a kind holds facts: addresses that are `assigned`; of health checks, by port and pod, what was found.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import yaml

from skylane_operator.model.gateway import Gateway, GatewayClass, ReferenceGrant, Route
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import EndpointSlice, Namespace, Service
from skylane_operator.plan.gateway_class import load_balancer_of
from skylane_operator.plan.gateway_listeners import judge_listeners, plan_for_gateway
from skylane_operator.plan.gateway_routes import RouteInputs, backends_of, refusal
from skylane_operator.plan.observed import AgentHealth, OwnerState, SickBackend
from skylane_operator.plan.service_types import Assigned
from skylane_operator.snapshot import owned_files
from skylane_operator.status import (
    GatewayFacts,
    ParentFacts,
    acceptance,
    gateway_class_status,
    gateway_status,
    route_status,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASS = {
    "metadata": {"name": "edge", "generation": 1},
    "spec": {
        "controllerName": "skylane.dev/gateway-controller",
        "parametersRef": {"group": "skylane.dev", "kind": "LoadBalancer", "namespace": "net", "name": "edge"},
    },
}
MODELS = {
    "GatewayClass": GatewayClass,
    "Gateway": Gateway,
    "TCPRoute": Route,
    "UDPRoute": Route,
    "ReferenceGrant": ReferenceGrant,
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Namespace": Namespace,
}


class Objects:
    """All of one file. A GatewayClass that is not there is a good one."""

    def __init__(self, text):
        self.by_kind = defaultdict(dict)
        self.facts = {}
        for body in yaml.safe_load_all(text):
            if "kind" not in body:
                self.facts |= body
                continue
            body["metadata"].setdefault("generation", 1)
            body["metadata"].setdefault("resourceVersion", "1")
            one = MODELS[body["kind"]].model_validate(body)
            self.by_kind[body["kind"]][one.metadata.key] = one

    def inputs(self):
        slices = self.by_kind["EndpointSlice"].values()
        grants = self.by_kind["ReferenceGrant"].values()
        namespaces = {key.name: one.metadata.labels for key, one in self.by_kind["Namespace"].items()}
        return RouteInputs(
            service=self.by_kind["Service"].get,
            endpoint_slices=lambda service: tuple(
                one
                for one in slices
                if Key(one.metadata.namespace, one.metadata.labels["kubernetes.io/service-name"]) == service
            ),
            grants=lambda namespace: [one for one in grants if one.metadata.namespace == namespace],
            namespace_labels=lambda namespace: namespaces.get(namespace, {}),
        )

    @property
    def routes(self):
        return [*self.by_kind["TCPRoute"].values(), *self.by_kind["UDPRoute"].values()]


def outcome(text):
    """What is written of the objects, and by Gateway what the pod that answers ARP shall run."""
    objects = Objects(text)
    inputs = objects.inputs()
    classes = objects.by_kind["GatewayClass"] or {Key("", "edge"): GatewayClass.model_validate(CLASS)}
    told = {}
    for key, one in classes.items():
        named = load_balancer_of(one)
        told[f"GatewayClass {key.name}"] = gateway_class_status(
            one, named if isinstance(named, str) else "", NOW
        )
    for key, gateway in objects.by_kind["Gateway"].items():
        told[f"Gateway {key}"] = _gateway(objects, inputs, gateway, classes)
    for route in objects.routes:
        parents = tuple(
            ParentFacts(written, refusal(inputs, gateway, reference, route))
            for reference, written in zip(route.spec.parent_refs, route.spec.parents, strict=True)
            if (gateway := objects.by_kind["Gateway"].get(reference.gateway(route.key)))
        )
        told[f"{route.kind} {route.key}"] = route_status(route, parents, backends_of(inputs, route), NOW)
    return told


def _state(objects, plan):
    found = objects.facts.get("health", {})
    health = {
        listener.name: {
            pod: AgentHealth(
                **report | {"sick": tuple(SickBackend(**sick) for sick in report.get("sick", ()))}
            )
            for pod, report in found[listener.port].items()
        }
        for listener in plan.answering
        if listener.port in found
    }
    return OwnerState(pods=("edge-skylane-0",), health=health)


def _gateway(objects, inputs, gateway, classes):
    named = load_balancer_of(classes[Key("", gateway.spec.gateway_class_name)])
    fault = named if isinstance(named, str) else ""
    addresses = [ip_address(text) for text in objects.facts.get("assigned", ["192.0.2.1"])]
    load_balancer = None if fault else named
    assigned = None
    for address in reversed(addresses if load_balancer else []):
        assigned = Assigned(address, load_balancer, "public", assigned)
    facts = GatewayFacts(
        gateway=gateway,
        load_balancer=load_balancer,
        fault=fault,
        assignment=assigned,
        listeners=judge_listeners(inputs, gateway, objects.routes),
        state=OwnerState(pods=("edge-skylane-0",)),
    )
    files = {}
    if assigned and acceptance(facts).status == "True":
        plan = plan_for_gateway(inputs, gateway, facts.listeners, assigned)
        files = owned_files(plan).answering
        facts = replace(facts, plan=plan, state=_state(objects, plan))
    return {"status": gateway_status(facts, NOW), "listeners": list(files.values())}
