"""The listeners of a Gateway: what becomes of each, and what the pods of its LoadBalancer shall run for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from skylane_operator.model.address import IPAddress
from skylane_operator.model.gateway import ROUTE_KINDS, Gateway, GatewayListener, Route
from skylane_operator.model.key import gateway_owner
from skylane_operator.plan.backends import planned_listener
from skylane_operator.plan.endpoints import Resolved, endpoints_of
from skylane_operator.plan.gateway_routes import RouteInputs, attached, backends_of, by_age
from skylane_operator.plan.listener_settings import ListenerFault, Settings, listener_settings
from skylane_operator.plan.memory import NOTHING, Earlier
from skylane_operator.plan.owned import OwnedPlan, listener_name, owned_listener
from skylane_operator.plan.service_types import Assigned
from skylane_operator.plan.types import ListenerPlan


@dataclass(frozen=True, slots=True)
class JudgedListener:
    """A listener, whether it is served, and its routes, the one that is served first.

    `conflict` is the name of an earlier listener of the same port and protocol; empty if there is none.
    """

    listener: GatewayListener
    conflict: str
    routes: tuple[Route, ...]

    @property
    def supported(self) -> bool:
        """Whether its protocol is one of ours."""
        return self.listener.protocol in ROUTE_KINDS

    @property
    def accepted(self) -> bool:
        """Whether it is served."""
        return self.supported and not self.conflict

    @property
    def resolved(self) -> bool:
        """Whether all kinds of routes that it names are served."""
        return not self.listener.unsupported_kinds


def judge_listeners(
    inputs: RouteInputs, gateway: Gateway, routes: Iterable[Route]
) -> tuple[JudgedListener, ...]:
    """Decide. `routes` are those that refer to the Gateway."""
    oldest_first = sorted(routes, key=by_age)
    taken: dict[tuple[int, str], str] = {}
    judged: list[JudgedListener] = []
    for listener in gateway.spec.listeners:
        first = taken.setdefault((listener.port, listener.protocol), listener.name)
        here = tuple(route for route in oldest_first if attached(inputs, gateway, listener, route))
        judged.append(JudgedListener(listener, "" if first == listener.name else first, here))
    return tuple(judged)


def plan_for_gateway(
    inputs: RouteInputs,
    gateway: Gateway,
    judged: Iterable[JudgedListener],
    assigned: Assigned,
    earlier: Earlier = NOTHING,
) -> OwnedPlan:
    """What the forwarders shall run for it. Equal inputs give equal plans, generations included.

    A listener without a route is there, too, without backends: what comes there is counted as that (no_backends).
    """
    settings, _ = listener_settings(gateway.metadata.annotations)
    return OwnedPlan(
        owner=gateway_owner(gateway.key),
        load_balancer=assigned.load_balancer,
        listeners=tuple(
            _planned(inputs, gateway, one, address, settings, earlier)
            for one in judged
            if one.accepted
            for address in assigned.addresses
        ),
    )


def _planned(
    inputs: RouteInputs,
    gateway: Gateway,
    judged: JudgedListener,
    address: IPAddress,
    settings: Settings,
    earlier: Earlier,
) -> ListenerPlan:
    port, protocol = judged.listener.port, judged.listener.protocol
    listener = owned_listener(gateway_owner(gateway.key), address, port, protocol, settings)
    found = backends_of(inputs, judged.routes[0]).found if judged.routes else ()
    resolved = [
        Resolved(
            f"{backend.service}:{backend.port.port}",
            backend.weight,
            endpoints_of(inputs.endpoint_slices(backend.service), backend.port, address.version),
        )
        for backend in found
    ]
    return planned_listener(listener, resolved, earlier)


def files_of(gateway: Gateway, listener: GatewayListener, addresses: Iterable[IPAddress]) -> set[str]:
    """Names of the forwarder's listeners that a listener becomes, one an address."""
    owner = gateway_owner(gateway.key)
    return {listener_name(owner, listener.port, listener.protocol, address.version) for address in addresses}


def setting_faults(gateway: Gateway) -> list[ListenerFault]:
    """Annotations that are not valid; what they would set is left as it is by default."""
    return listener_settings(gateway.metadata.annotations)[1]
