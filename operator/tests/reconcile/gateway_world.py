"""Objects of the Gateway API in a test's world. Classes have no namespace: the world's own name is theirs."""

import json

from operator_support import eventually
from operator_world import World

GROUP = "gateway.networking.k8s.io"
V1 = f"{GROUP}/v1"
PLURALS = {
    "Gateway": (V1, "gateways"),
    "TCPRoute": (V1, "tcproutes"),
    "UDPRoute": (V1, "udproutes"),
    "ReferenceGrant": (f"{GROUP}/v1beta1", "referencegrants"),
}
CLASSES = f"/apis/{V1}/gatewayclasses"


class GatewayWorld(World):
    def add_class(self, load_balancer="edge", **changes):
        parameters = {
            "group": "skylane.dev",
            "kind": "LoadBalancer",
            "name": load_balancer,
            "namespace": self.namespace,
        }
        body = {
            "apiVersion": V1,
            "kind": "GatewayClass",
            "metadata": {"name": self.namespace},
            "spec": {
                "controllerName": "skylane.dev/gateway-controller",
                "parametersRef": {**parameters, **changes},
            },
        }
        return self.api.request("POST", CLASSES, body)

    def gateway_class(self):
        return self.api.request("GET", f"{CLASSES}/{self.namespace}")

    def delete_class(self):
        self.api.request("DELETE", f"{CLASSES}/{self.namespace}")

    def add(self, kind, name, **spec):
        version, plural = PLURALS[kind]
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
        return self.create(version, plural, body)

    def add_gateway(self, name="front", *listeners, **spec):
        listeners = [
            {"name": f"{protocol.lower()}-{port}", "protocol": protocol, "port": port, **more}
            for port, protocol, more in listeners or ((80, "TCP", {}),)
        ]
        return self.add("Gateway", name, gatewayClassName=self.namespace, listeners=listeners, **spec)

    def add_route(self, name="web", *backends, kind="TCPRoute", gateway="front", **reference):
        backends = [
            {"name": one, "port": 80} if isinstance(one, str) else one for one in backends or ("web",)
        ]
        parents = [{"name": gateway, **reference}]
        return self.add(kind, name, parentRefs=parents, rules=[{"backendRefs": backends}])

    def read(self, kind, name):
        return self.get(*PLURALS[kind], name)

    def edit(self, kind, name, alter, subresource=""):
        return self.change(*PLURALS[kind], name, alter, subresource)

    def remove(self, kind, name):
        return self.delete(*PLURALS[kind], name)

    async def until_gateway(self, kind, status, reason, name="front", listener=None):
        """The condition of a Gateway, or of one of its listeners, once it is so for the newest generation."""

        def conditions(body):
            if listener is None:
                return body["status"].get("conditions", ())
            found = [one for one in body["status"].get("listeners", ()) if one["name"] == listener]
            return found[0]["conditions"] if found else ()

        return await self._until("Gateway", name, conditions, (kind, status, reason))

    async def until_route(self, kind, status, reason, name="web", route="TCPRoute"):
        """The same of a route, at the first parent that we have written of."""

        def conditions(body):
            parents = body.get("status", {}).get("parents", ())
            ours = [one for one in parents if one["controllerName"] == "skylane.dev/gateway-controller"]
            return ours[0]["conditions"] if ours else ()

        return await self._until(route, name, conditions, (kind, status, reason))

    async def until_class(self, status, reason):
        def holds():
            (found,) = self.gateway_class()["status"]["conditions"]
            return found if (found["status"], found["reason"]) == (status, reason) else None

        return await eventually(holds, f"Accepted={status} {reason} of the class", 40)

    async def _until(self, kind, name, conditions_of, wanted):
        def holds():
            body = self.read(kind, name)
            for one in conditions_of(body):
                newest = one.get("observedGeneration") == body["metadata"]["generation"]
                if newest and (one["type"], one["status"], one["reason"]) == wanted:
                    return one
            return None

        try:
            return await eventually(holds, f"{wanted} of {kind} {name}", 40)
        except AssertionError as late:
            status = json.dumps(self.read(kind, name).get("status"), indent=1)
            raise AssertionError(f"{late}; the status is {status}") from late
