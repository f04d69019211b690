"""The objects of the Gateway API, with indexes that say whom a change of something else concerns.

Their kinds may be absent: then the stores stay empty, and nothing here is ever called.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Protocol

from skylane_operator.kube.resource import (
    GATEWAY,
    GATEWAY_CLASS,
    REFERENCE_GRANT,
    TCP_ROUTE,
    UDP_ROUTE,
    Resource,
)
from skylane_operator.kube.store import Store
from skylane_operator.model.gateway import Gateway, GatewayClass, ReferenceGrant, Route
from skylane_operator.model.key import Key, ObjectKey, gateway_owner
from skylane_operator.plan.askers import Asker, gateway_asker
from skylane_operator.plan.gateway_class import load_balancer_of
from skylane_operator.status import is_reported, is_served

Json = dict[str, Any]
ROUTES = (TCP_ROUTE, UDP_ROUTE)


class Reflect(Protocol):
    """Has a kind kept in a store."""

    def __call__(
        self,
        resource: Resource,
        parse: Callable[[Json], Any],
        store: Store[Any],
        changed: Callable[[Key, Any, Any], None],
        *,
        everywhere: bool = False,
    ) -> None:
        """`changed` is told of every change in it."""


class GatewayChanges(Protocol):
    """Who is told what changed."""

    def object(self, one: ObjectKey) -> None:
        """An object of the Gateway API needs a look."""

    def addresses(self) -> None:
        """What the addresses of Gateways depend on."""


def _class_index(gateway_class: GatewayClass) -> Iterator[Hashable]:
    found = load_balancer_of(gateway_class)
    if gateway_class.is_ours and isinstance(found, Key):
        yield found


def _selecting(gateway: Gateway) -> Iterator[Hashable]:
    if any(one.allowed_routes.namespaces.from_ == "Selector" for one in gateway.spec.listeners):
        yield True


def _foreign(route: Route) -> Iterator[Hashable]:
    for service in route.services:
        if service.namespace != route.key.namespace:
            yield service.namespace


class Gateways:
    """All of them; see the module. `namespaces` are those that are watched, empty: all."""

    def __init__(self, namespaces: tuple[str, ...], changes: GatewayChanges) -> None:
        self._namespaces, self._changes = frozenset(namespaces), changes
        self.classes: Store[GatewayClass] = Store({"load_balancer": _class_index})
        self.all: Store[Gateway] = Store(
            {"class": lambda gateway: (gateway.spec.gateway_class_name,), "selecting": _selecting}
        )
        self.routes: dict[str, Store[Route]] = {
            resource.kind: Store(
                {
                    "gateway": lambda route: route.gateways,
                    "service": lambda route: route.services,
                    "foreign": _foreign,
                }
            )
            for resource in ROUTES
        }
        self.grants: Store[ReferenceGrant] = Store({"namespace": lambda grant: (grant.metadata.namespace,)})

    def reflect(self, reflect: Reflect) -> None:
        """Have all kinds watched."""
        reflect(
            GATEWAY_CLASS, GatewayClass.model_validate, self.classes, self._class_changed, everywhere=True
        )
        reflect(GATEWAY, Gateway.model_validate, self.all, self._gateway_changed)
        for resource in ROUTES:
            reflect(resource, Route.model_validate, self.routes[resource.kind], self._route_changed)
        reflect(REFERENCE_GRANT, ReferenceGrant.model_validate, self.grants, self._grant_changed)

    # what there is

    def class_of(self, gateway: Gateway) -> GatewayClass | None:
        """Its class, if it is one of ours."""
        found = self.classes.get(Key("", gateway.spec.gateway_class_name))
        return found if found is not None and self.is_ours(found) else None

    def is_ours(self, gateway_class: GatewayClass) -> bool:
        """Whether we answer for the class. If its LoadBalancer is in a namespace that is not watched, another operator does."""
        named = load_balancer_of(gateway_class)
        watched = isinstance(named, str) or not self._namespaces or named.namespace in self._namespaces
        return gateway_class.is_ours and watched

    def wanted(self, gateway: Gateway) -> Key | None:
        """The LoadBalancer that shall serve it, if it is one of ours and says which."""
        gateway_class = self.class_of(gateway)
        if gateway_class is None or gateway.metadata.deletion_timestamp is not None:
            return None
        found = load_balancer_of(gateway_class)
        return found if isinstance(found, Key) else None

    def asker(self, gateway: Gateway | None) -> Asker | None:
        """The Gateway as one that asks for an address, if it does so of ours."""
        wanted = self.wanted(gateway) if gateway is not None else None
        return gateway_asker(gateway, wanted) if gateway is not None and wanted is not None else None

    def askers(self) -> Iterator[Asker]:
        """All that ask for an address of ours."""
        return (asker for asker in map(self.asker, self.all.values()) if asker is not None)

    def routes_of(self, gateway: Key) -> tuple[Route, ...]:
        """Routes that refer to it."""
        return tuple(route for store in self.routes.values() for route in store.by("gateway", gateway))

    def objects(self) -> Iterator[ObjectKey]:
        """All whose status is ours, or may have been."""
        for one in self.classes.values():
            if self.is_ours(one):
                yield ObjectKey(GATEWAY_CLASS.kind, one.metadata.key)
        for gateway in self.all.values():
            if self._concerns(gateway):
                yield gateway_owner(gateway.key)
        for kind, store in self.routes.items():
            for route in store.values():
                if is_reported(route) or any(map(self._ours, route.gateways)):
                    yield ObjectKey(kind, route.key)

    def asking_for(self, load_balancer: Key) -> Iterator[ObjectKey]:
        """The classes that name the LoadBalancer, and their Gateways."""
        for key in self.classes.keys_by("load_balancer", load_balancer):
            yield ObjectKey(GATEWAY_CLASS.kind, key)
            yield from map(gateway_owner, self.all.keys_by("class", key.name))

    def _ours(self, gateway: Key) -> bool:
        found = self.all.get(gateway)
        return found is not None and self._concerns(found)

    def _concerns(self, gateway: Gateway) -> bool:
        return self.class_of(gateway) is not None or is_served(gateway)

    # what changed

    def service_changed(self, service: Key) -> None:
        """A Service: whether it exists, or its ports."""
        for kind, route in self._routes_by("service", service):
            self._mark_route(kind, route)

    def endpoints_changed(self, service: Key) -> None:
        """Endpoints of a Service."""
        for _, route in self._routes_by("service", service):
            self._mark_gateways(route.gateways)

    def namespaces_changed(self) -> None:
        """Labels of a namespace."""
        for gateway in self.all.by("selecting", True):  # noqa: FBT003 - an index value
            self._mark_with_routes(gateway)

    def _routes_by(self, index: str, value: Hashable) -> Iterator[tuple[str, Route]]:
        for kind, store in self.routes.items():
            for route in store.by(index, value):
                yield kind, route

    def _mark_route(self, kind: str, route: Route) -> None:
        self._changes.object(ObjectKey(kind, route.key))
        self._mark_gateways(route.gateways)

    def _mark_gateways(self, gateways: Iterable[Key]) -> None:
        for gateway in gateways:
            if self._ours(gateway):
                self._changes.object(gateway_owner(gateway))

    def _mark_with_routes(self, gateway: Gateway) -> None:
        self._changes.object(gateway_owner(gateway.key))
        for kind, route in self._routes_by("gateway", gateway.key):
            self._changes.object(ObjectKey(kind, route.key))

    def _class_changed(self, key: Key, old: GatewayClass | None, new: GatewayClass | None) -> None:
        if not any(one is not None and self.is_ours(one) for one in (old, new)):
            return
        self._changes.object(ObjectKey(GATEWAY_CLASS.kind, key))
        if old is None or new is None or old.spec != new.spec:
            for gateway in self.all.by("class", key.name):
                self._mark_with_routes(gateway)
            self._changes.addresses()

    def _gateway_changed(self, key: Key, old: Gateway | None, new: Gateway | None) -> None:
        if not any(one is not None and self._concerns(one) for one in (old, new)):
            return
        self._changes.object(gateway_owner(key))
        if old is None or new is None or (old.metadata, old.spec) != (new.metadata, new.spec):
            for kind, route in self._routes_by("gateway", key):
                self._changes.object(ObjectKey(kind, route.key))
            self._changes.addresses()

    def _route_changed(self, _key: Key, old: Route | None, new: Route | None) -> None:
        for route in (old, new):
            if route is not None:
                self._changes.object(ObjectKey(route.kind, route.key))
        if old is None or new is None or old.terms != new.terms:
            for route in (old, new):
                self._mark_gateways(route.gateways if route is not None else ())

    def _grant_changed(self, key: Key, _old: ReferenceGrant | None, _new: ReferenceGrant | None) -> None:
        for kind, route in self._routes_by("foreign", key.namespace):
            self._mark_route(kind, route)
