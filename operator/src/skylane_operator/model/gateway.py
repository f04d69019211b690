"""The fields that we read of the Gateway API's kinds (gateway.networking.k8s.io). Names follow the API."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AliasPath, Field

from skylane_operator.model.base import ReadModel
from skylane_operator.model.key import TCP_ROUTE, UDP_ROUTE, Key
from skylane_operator.model.kubernetes import Items
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.readable import Status
from skylane_operator.model.selector import LabelSelector

GATEWAY_GROUP = "gateway.networking.k8s.io"
CONTROLLER_NAME = "skylane.dev/gateway-controller"
# By protocol of a listener, the kind of route that it serves.
ROUTE_KINDS = {"TCP": TCP_ROUTE, "UDP": UDP_ROUTE}
PROTOCOLS = {kind: protocol for protocol, kind in ROUTE_KINDS.items()}

Json = dict[str, Any]


class ObjectReference(ReadModel):
    """A reference to an object by group, kind and name."""

    group: str = ""
    kind: str
    name: str
    namespace: str | None = None


class GatewayClassSpec(ReadModel):
    """Spec of a GatewayClass."""

    controller_name: str
    parameters_ref: ObjectReference | None = None


class GatewayClass(ReadModel):
    """gateway.networking.k8s.io/v1 GatewayClass. `status` is as far as it can be read."""

    metadata: ObjectMeta
    spec: GatewayClassSpec
    status: Status

    @property
    def is_ours(self) -> bool:
        """Whether it names us."""
        return self.spec.controller_name == CONTROLLER_NAME


class GatewayAddress(ReadModel):
    """One entry of spec.addresses."""

    type: str = "IPAddress"
    value: str = ""


class RouteKind(ReadModel):
    """One entry of allowedRoutes.kinds."""

    group: str = GATEWAY_GROUP
    kind: str


class RouteNamespaces(ReadModel):
    """allowedRoutes.namespaces."""

    from_: Annotated[str, Field(alias="from")] = "Same"
    selector: LabelSelector | None = None


class AllowedRoutes(ReadModel):
    """allowedRoutes of a listener."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Items[RouteKind] = ()


class GatewayListener(ReadModel):
    """One entry of spec.listeners."""

    name: str
    port: int
    protocol: str
    allowed_routes: AllowedRoutes = AllowedRoutes()

    @property
    def supported_kinds(self) -> tuple[str, ...]:
        """Kinds of routes that may attach to it, and that we serve on it."""
        own = ROUTE_KINDS.get(self.protocol)
        wanted = self.allowed_routes.kinds
        asked = not wanted or any((one.group, one.kind) == (GATEWAY_GROUP, own) for one in wanted)
        return (own,) if own and asked else ()

    @property
    def unsupported_kinds(self) -> tuple[str, ...]:
        """Kinds that it names, and that we do not serve on it."""
        own = (GATEWAY_GROUP, ROUTE_KINDS.get(self.protocol))
        return tuple(one.kind for one in self.allowed_routes.kinds if (one.group, one.kind) != own)


class GatewaySpec(ReadModel):
    """Spec of a Gateway."""

    gateway_class_name: str
    addresses: Items[GatewayAddress] = ()
    listeners: Items[GatewayListener] = ()
    parameters_ref: Annotated[
        Json | None, Field(validation_alias=AliasPath("infrastructure", "parametersRef"))
    ] = None

    @property
    def requested_addresses(self) -> tuple[str, ...]:
        """Addresses that it wants; an entry without a value leaves the choice to us."""
        return tuple(one.value for one in self.addresses if one.type == "IPAddress" and one.value)


class Gateway(ReadModel):
    """gateway.networking.k8s.io/v1 Gateway. `status` is as far as it can be read."""

    metadata: ObjectMeta
    spec: GatewaySpec
    status: Status

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return self.metadata.key


class ParentReference(ReadModel):
    """One entry of parentRefs."""

    group: str = GATEWAY_GROUP
    kind: str = "Gateway"
    namespace: str | None = None
    name: str
    section_name: str | None = None
    port: int | None = None

    def gateway(self, route: Key) -> Key | None:
        """The Gateway that a route of this key refers to; None if it refers to something else."""
        if (self.group, self.kind) != (GATEWAY_GROUP, "Gateway"):
            return None
        return Key(self.namespace or route.namespace, self.name)


class RouteBackend(ReadModel):
    """One entry of backendRefs."""

    group: str = ""
    kind: str = "Service"
    namespace: str | None = None
    name: str
    port: int | None = None
    weight: int = 1

    @property
    def is_service(self) -> bool:
        """Whether it is of the one kind that can be behind a listener."""
        return (self.group, self.kind) == ("", "Service")

    def key(self, route: Key) -> Key:
        """What a route of this key refers to."""
        return Key(self.namespace or route.namespace, self.name)


class RouteRule(ReadModel):
    """One entry of rules."""

    backend_refs: Items[RouteBackend] = ()


class RouteSpec(ReadModel):
    """Spec of a TCPRoute or UDPRoute. `parents` are the entries of parentRefs as they were written."""

    parent_refs: Items[ParentReference] = ()
    parents: Annotated[Items[Json], Field(validation_alias="parentRefs")] = ()
    rules: Items[RouteRule] = ()


class Route(ReadModel):
    """A TCPRoute or UDPRoute. `status` is as far as it can be read, `api_version` is that of the object."""

    kind: str
    api_version: str
    metadata: ObjectMeta
    resource_version: Annotated[str, Field(validation_alias=AliasPath("metadata", "resourceVersion"))]
    spec: RouteSpec
    status: Status

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return self.metadata.key

    @property
    def protocol(self) -> str:
        """Of the listeners that serve it."""
        return PROTOCOLS[self.kind]

    @property
    def backends(self) -> tuple[RouteBackend, ...]:
        """Those of its rule: TCP and UDP have nothing to choose another one by."""
        return self.spec.rules[0].backend_refs if self.spec.rules else ()

    @property
    def gateways(self) -> frozenset[Key]:
        """Those that it refers to."""
        found = (reference.gateway(self.key) for reference in self.spec.parent_refs)
        return frozenset(gateway for gateway in found if gateway is not None)

    @property
    def services(self) -> frozenset[Key]:
        """Those that it refers to."""
        return frozenset(one.key(self.key) for one in self.backends if one.is_service)

    @property
    def terms(self) -> tuple[object, ...]:
        """What of it the Gateways depend on."""
        metadata = self.metadata
        return (metadata.uid, metadata.generation, metadata.creation_timestamp, self.spec)


class GrantFrom(ReadModel):
    """Who may refer."""

    group: str
    kind: str
    namespace: str


class GrantTo(ReadModel):
    """To what."""

    group: str
    kind: str
    name: str | None = None


class ReferenceGrantSpec(ReadModel):
    """Spec of a ReferenceGrant."""

    from_: Annotated[Items[GrantFrom], Field(alias="from")] = ()
    to: Items[GrantTo] = ()


class ReferenceGrant(ReadModel):
    """gateway.networking.k8s.io ReferenceGrant: in the namespace of what is referred to."""

    metadata: ObjectMeta
    spec: ReferenceGrantSpec

    def permits(self, kind: str, namespace: str, service: Key) -> bool:
        """Whether routes of the kind in the namespace may refer to the Service."""
        return (
            self.metadata.namespace == service.namespace
            and any(
                (one.group, one.kind, one.namespace) == (GATEWAY_GROUP, kind, namespace)
                for one in self.spec.from_
            )
            and any(
                (one.group, one.kind) == ("", "Service") and one.name in (None, "", service.name)
                for one in self.spec.to
            )
        )


def conditions_of(status: Mapping[str, Any]) -> Mapping[str, Json]:
    """Conditions of a status by their type."""
    return {one["type"]: one for one in status.get("conditions") or ()}
