"""CRDs that change under a running operator, and objects that no schema has looked at."""

import contextlib
import copy
import urllib.error

from operator_support import eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GATEWAY = "gateway.networking.k8s.io"
OURS = "skylane.dev"
ANYTHING = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}

CONTROLLER = "skylane.dev/gateway-controller"
# Entries that nobody would take for conditions, addresses or parents.
STATUS = {
    "conditions": [{"type": ["Accepted"]}, None, {"status": "True"}],
    "addresses": {"value": 1},
    "parents": [None, {"controllerName": CONTROLLER}, {"controllerName": 1, "parentRef": []}],
}
# By plural, and group: specs of which each can be read in a part only.
SPECS = {
    ("loadbalancers", OURS): {"replicas": "many", "dataplane": {"networks": [None]}, "listeners": {"a": 1}},
    ("virtualippools", OURS): {"addresses": [1, None, "300.0.0.0/8"], "serviceSelector": []},
    ("bgppeers", OURS): {"peerAddress": {}, "peerASN": "x", "passwordSecretRef": []},
    ("gatewayclasses", GATEWAY): {"controllerName": CONTROLLER, "parametersRef": "edge"},
    ("gateways", GATEWAY): {"gatewayClassName": 7, "listeners": {"name": None}},
    ("tcproutes", GATEWAY): {"parentRefs": "front", "rules": [[]]},
    ("udproutes", GATEWAY): {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": [{"port": "x"}]}]},
    ("referencegrants", GATEWAY): {"from": {}, "to": "all"},
}


def definition(api, plural, group):
    return api.request("GET", f"{CRDS}/{plural}.{group}")


def replace_schemas(api, plural, group, schemas):
    """`schemas` by version. What has been stored stays as it is."""
    body = definition(api, plural, group)
    for version in body["spec"]["versions"]:
        version["schema"] = schemas[version["name"]]
    api.request("PUT", f"{CRDS}/{plural}.{group}", body)


@contextlib.contextmanager
def without_schemas(api):
    """While it lasts the API server takes anything."""
    before = {}
    for plural, group in SPECS:
        versions = definition(api, plural, group)["spec"]["versions"]
        before[plural, group] = {one["name"]: one["schema"] for one in versions}
        replace_schemas(api, plural, group, dict.fromkeys(before[plural, group], ANYTHING))
    try:
        yield
    finally:
        for (plural, group), schemas in before.items():
            replace_schemas(api, plural, group, schemas)


class Poison:
    """One broken object of every kind, named `poison` (the cluster-wide ones after the world)."""

    def __init__(self, world):
        self._world = world
        self._paths = []

    async def add(self):
        for (plural, group), spec in SPECS.items():
            for status in ({}, STATUS):
                await self._add(plural, group, copy.deepcopy(spec), status)

    async def _add(self, plural, group, spec, status):
        described = definition(self._world.api, plural, group)["spec"]
        stored = next(one["name"] for one in described["versions"] if one["storage"])
        namespaced = described["scope"] == "Namespaced"
        scope = f"/namespaces/{self._world.namespace}" if namespaced else ""
        collection = f"/apis/{group}/{stored}{scope}/{plural}"
        prefix = "" if namespaced else f"{self._world.namespace}-"
        body = {
            "apiVersion": f"{group}/{stored}",
            "kind": described["names"]["kind"],
            "metadata": {"name": f"{prefix}poison-{'told' if status else 'new'}"},
            "spec": spec,
        }
        path = f"{collection}/{body['metadata']['name']}"
        await eventually(
            lambda: self._sent("POST", collection, body), f"the schema of {plural} to be gone", 20
        )
        self._paths.append(path)
        if status and "status" in described["versions"][0].get("subresources", {}):
            body = self._world.api.request("GET", path) | {"status": status}
            self._world.api.request("PUT", f"{path}/status", body)

    def _sent(self, method, path, body):
        """Whether the API server took it; it goes on with the old schema for a moment."""
        try:
            return self._world.api.request(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code not in {422, 500, 503}:
                raise
            return None

    def remove(self):
        for path in self._paths:
            self._world.api.request("DELETE", path)
        self._paths.clear()
