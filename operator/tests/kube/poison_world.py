"""A cluster in memory with one good object of every kind, and bodies that are broken in every place that one can be."""

import copy
from datetime import UTC, datetime

from operator_support import endpoint_slice, service

from skylane_operator.address_reconcile import AddressReconciler
from skylane_operator.agents.registry import Agents
from skylane_operator.gateway_reconcile import GatewayReconciler
from skylane_operator.handlers.marks import Marks
from skylane_operator.kube.cluster import Cluster
from skylane_operator.model.key import Key, gateway_owner, service_owner
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.plan import plan_for
from skylane_operator.readiness_gates import ReadinessGates
from skylane_operator.service_reconcile import ServiceReconciler
from skylane_operator.status import rejected_status_for, status_for

NAMESPACE = "shop"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
GATEWAY_GROUP = "gateway.networking.k8s.io"
# What a field may hold that no schema has looked at.
NONSENSE = (None, "x", -1, 10**30, [], {}, [None], [{}], {"x": None})
CONDITION = {
    "type": "Accepted",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "reason": "Accepted",
    "message": "",
}
_NETWORK = {
    "name": "external",
    "networkAttachment": "nic",
    "resourceName": "skylane.dev/nic",
    "driver": "af_packet",
    "addresses": ["10.77.1.10/24"],
    "gateway": "10.77.1.1",
}
_DATAPLANE = {
    "cpu": {"policy": "shared"},
    "hugepages": {"size": "2Mi", "total": "64Mi"},
    "maxFlowsPerWorker": 1024,
    "networks": [_NETWORK],
    "localAddresses": ["10.77.1.100"],
}


def _object(api_version, kind, name, *, namespace=NAMESPACE, **more):
    metadata = {
        "name": name,
        "uid": f"uid-{kind}-{name}",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {},
        "annotations": {},
    }
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _like(body, **more):
    whole = _object(body["apiVersion"], body["kind"], body["metadata"]["name"])
    whole["metadata"] |= body["metadata"]
    return {**body, **more, "metadata": whole["metadata"]}


def _load_balancer():
    listener = {"name": "web", "vip": "198.51.1.10", "port": 80, "backends": [{"service": "web", "port": 80}]}
    spec = {
        "replicas": 1,
        "dataplane": _DATAPLANE,
        "listeners": [listener],
        "services": {"pools": ["pool"]},
        "advertisement": {"bgpPeers": ["router"]},
    }
    return _object(
        "skylane.dev/v1alpha1", "LoadBalancer", "edge", spec=spec, status={"conditions": [CONDITION]}
    )


def _gateway_kinds():
    controller = "skylane.dev/gateway-controller"
    reference = {"group": "skylane.dev", "kind": "LoadBalancer", "namespace": NAMESPACE, "name": "edge"}
    v1 = f"{GATEWAY_GROUP}/v1"
    status = {"conditions": [CONDITION, CONDITION | {"type": "skylane.dev/AddressAssigned"}]}
    listener = {
        "name": "tcp",
        "protocol": "TCP",
        "port": 80,
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}},
    }
    yield _object(
        v1,
        "GatewayClass",
        "edge",
        namespace="",
        spec={"controllerName": controller, "parametersRef": reference},
        status=status | {"supportedFeatures": [{"name": "Gateway"}]},
    )
    yield _object(
        v1,
        "Gateway",
        "front",
        spec={"gatewayClassName": "edge", "listeners": [listener], "addresses": [{"value": "192.0.2.9"}]},
        status=status
        | {
            "addresses": [{"type": "IPAddress", "value": "192.0.2.9"}],
            "listeners": [{"name": "tcp", "conditions": [CONDITION]}],
        },
    )
    backends = [{"name": "web", "port": 80, "weight": 1}]
    for kind in ("TCPRoute", "UDPRoute"):
        parent = {"parentRef": {"name": "front"}, "controllerName": controller, "conditions": [CONDITION]}
        yield _object(
            v1,
            kind,
            "web",
            spec={"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": backends}]},
            status={"parents": [parent, parent | {"controllerName": "others.example/controller"}]},
        )
    grant = {"from": [{"group": GATEWAY_GROUP, "kind": "TCPRoute", "namespace": "other"}]}
    grant["to"] = [{"group": "", "kind": "Service"}]
    yield _object(f"{GATEWAY_GROUP}/v1beta1", "ReferenceGrant", "web", spec=grant)


def _core_kinds():
    spec = {
        "type": "LoadBalancer",
        "loadBalancerClass": "skylane.dev/edge",
        "ipFamilies": ["IPv4"],
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
    }
    condition = CONDITION | {"type": "skylane.dev/AddressAssigned"}
    ingress = {"ingress": [{"ip": "192.0.2.8", "ipMode": "VIP"}]}
    status = {"loadBalancer": ingress, "conditions": [condition]}
    yield _like(service(NAMESPACE, "web", **spec), status=status)
    yield _like(endpoint_slice(NAMESPACE, "web", "10.244.0.5"))
    amounts = {"cpu": "64", "memory": "64Gi", "hugepages-2Mi": "32Gi", "pods": "500", "skylane.dev/nic": "64"}
    yield _object(
        "v1",
        "Node",
        "node-1",
        namespace="",
        spec={"unschedulable": False, "taints": [{"key": "a", "value": "b", "effect": "PreferNoSchedule"}]},
        status={"allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]},
    )
    container = {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    pod = _object(
        "v1",
        "Pod",
        "edge-skylane-0",
        spec={"nodeName": "node-1", "containers": [container]},
        status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    )
    pod["metadata"]["labels"] = {"skylane.dev/load-balancer": "edge"}
    yield pod
    yield _object("v1", "Namespace", NAMESPACE, namespace="")


def custom_objects():
    """One object of every kind that is watched and has a schema of a CRD's: it may have another, or none."""
    ours = "skylane.dev/v1alpha1"
    yield _object("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", "nic")
    pool = {"addresses": ["192.0.2.8/29"], "serviceSelector": {"matchLabels": {}}}
    status = {"size": 8, "assigned": 0, "available": 8, "conditions": [CONDITION]}
    yield _object(ours, "VirtualIPPool", "pool", namespace="", spec=pool, status=status)
    peer = {"peerAddress": "10.77.1.1", "peerASN": 64512, "localASN": 64513}
    peer["passwordSecretRef"] = {"name": "router"}
    yield _object(ours, "BGPPeer", "router", spec=peer)
    yield _load_balancer()
    yield from _gateway_kinds()


def broken(body):
    """(where, body) with one thing after the other taken out or replaced by nonsense. Its name is `poison`."""
    for path in _paths(body):
        for wrong in (KeyError, *NONSENSE):
            changed = copy.deepcopy(body)
            place = changed
            for part in path[:-1]:
                place = place[part]
            if wrong is KeyError:
                del place[path[-1]]
            else:
                place[path[-1]] = copy.deepcopy(wrong)
            changed["metadata"] |= {
                "name": "poison",
                "uid": "poison",
                "creationTimestamp": "2026-01-01T00:01:00Z",
            }
            yield f"{'.'.join(map(str, path))} = {wrong!r}", changed


def _paths(value, path=()):
    # The API server itself sees to the metadata of every object, whatever its schema.
    if path and path[0] not in {"apiVersion", "kind", "metadata"}:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in items:
        yield from _paths(inner, (*path, part))


class Statuses:
    """In place of a StatusWriter."""

    def write(self, stored, status):
        """Forgotten: only whether it can be computed is of interest."""

    def forget(self, key):
        """The same."""


class PoisonWorld:
    """Stores filled as the reflectors do it, and the reconcilers that look at them."""

    def __init__(self):
        marks = Marks(lambda _: None, lambda _: None, lambda: None)
        self.cluster = Cluster(None, (), marks)
        marks.bind(self.cluster.load_balancers, self.cluster)
        self._reflectors = {one.resource.kind: one for one in reversed(self.cluster.reflectors)}
        agents, nothing = Agents(lambda _: None, lambda _: None), Statuses()
        told = {"settled": lambda: True, "now": lambda: NOW}
        self._addresses = AddressReconciler(
            self.cluster, nothing, lambda _: None, lambda _: None, told["now"]
        )
        told["gates"] = ReadinessGates(self.cluster, nothing, lambda _: None, told["settled"], told["now"])
        self._services = ServiceReconciler(self.cluster, agents, nothing, **told)
        routes = {(f"{GATEWAY_GROUP}/v1", kind): nothing for kind in ("TCPRoute", "UDPRoute")}
        self._gateways = GatewayReconciler(self.cluster, agents, nothing, nothing, routes, **told)
        for body in (*_core_kinds(), *custom_objects()):
            self.put(body)
        self.look()

    def put(self, body):
        """As if the API server had told of it."""
        if body["kind"] == "LoadBalancer":
            self.cluster.load_balancers.keep(body)
        else:
            self._reflectors[body["kind"]]._put(body)

    def look(self):
        """Everything that is computed, for all objects together and for each."""
        self._addresses.assign()
        for one in self.cluster.asking():
            if one.kind == "Service":
                self._services.reconcile(one.key)
            else:
                self._gateways.reconcile(one)
        for key in self.cluster.load_balancers.all():
            self._look_at(self.cluster.load_balancers._store.get(key))

    def _look_at(self, stored):
        if not isinstance(stored.parsed, LoadBalancer):
            rejected_status_for(stored.parsed, stored.generation, stored.status, NOW)
            return
        plan = plan_for(self.cluster.inputs_for(stored, stored.parsed))
        status_for(plan, self.cluster.observed_for(stored.key, {}, {}), stored.status, NOW)

    def served(self):
        """Of the good objects, what a plan makes."""
        stored = self.cluster.load_balancers._store.get(Key(NAMESPACE, "edge"))
        plan = plan_for(self.cluster.inputs_for(stored, stored.parsed))
        owners = [service_owner(Key(NAMESPACE, "web")), gateway_owner(Key(NAMESPACE, "front"))]
        return plan.pods, plan.placement, [self.cluster.assignments[owner] for owner in owners]
