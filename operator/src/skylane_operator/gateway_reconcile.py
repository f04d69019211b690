"""The story of the Gateway API's objects, each by itself: Gateways are planned, pushed and told, classes and routes told.

A change of one Service's endpoints costs the Gateways that have a route to it, however many others there are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from skylane_operator.agents.registry import Agents
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.resource import GATEWAY, GATEWAY_CLASS
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.subjects import subject_of_class, subject_of_gateway, subject_of_route
from skylane_operator.memories import Memories
from skylane_operator.model.gateway import Gateway, GatewayClass, Route
from skylane_operator.model.key import Key, ObjectKey, gateway_owner
from skylane_operator.plan.gateway_class import load_balancer_of
from skylane_operator.plan.gateway_listeners import judge_listeners, plan_for_gateway
from skylane_operator.plan.gateway_routes import backends_of, refusal
from skylane_operator.plan.observed import OwnerState
from skylane_operator.plan.owned import OwnedPlan
from skylane_operator.plan.service_types import Assigned
from skylane_operator.readiness_gates import ReadinessGates
from skylane_operator.snapshot import owned_files
from skylane_operator.status import (
    GatewayFacts,
    ParentFacts,
    acceptance,
    gateway_class_status,
    gateway_status,
    health_awaited,
    is_served,
    route_status,
)


@dataclass(frozen=True, slots=True)
class GatewayReconciler:
    """`route_status` has a writer for each version of a kind of routes, by its apiVersion and kind.

    `settled` tells whether every agent has had time to dial since we began.
    """

    cluster: Cluster
    agents: Agents
    class_status: StatusWriter
    gateway_status: StatusWriter
    route_status: Mapping[tuple[str, str], StatusWriter]
    settled: Callable[[], bool]
    now: Callable[[], datetime]
    gates: ReadinessGates
    memories: Memories[Key] = field(default_factory=Memories)

    def reconcile(self, one: ObjectKey) -> float | None:
        """Bring what the forwarders run for one object, and its status, closer to what it asks for.

        Seconds until it needs a look though nothing changes, if it does.
        """
        match one.kind:
            case GATEWAY_CLASS.kind:
                self._tell_class(one.key)
            case GATEWAY.kind:
                plan = self._serve(one.key)
                if plan is None:
                    self.gates.forget(one)
                return self.memories.keep(one.key, plan.listeners if plan is not None else ())
            case _:
                self._tell_route(one)
        return None

    # classes

    def _tell_class(self, key: Key) -> None:
        found = self.cluster.gateways.classes.get(key)
        if found is None or not self.cluster.gateways.is_ours(found):
            self.class_status.forget(key)
            return
        status = gateway_class_status(found, self._fault_of(found), self.now())
        self.class_status.write(subject_of_class(found), status)

    def _fault_of(self, gateway_class: GatewayClass) -> str:
        """What is wrong with the parameters of a class; empty if nothing is."""
        named = load_balancer_of(gateway_class)
        if isinstance(named, str):
            return named
        if not self.cluster.load_balancers.exists(named):
            return f"spec.parametersRef: LoadBalancer {named} does not exist; create it, or correct the reference"
        return ""

    # Gateways

    def _serve(self, key: Key) -> OwnedPlan | None:
        gateway, owner = self.cluster.gateways.all.get(key), gateway_owner(key)
        if gateway is None or self.cluster.gateways.class_of(gateway) is None:
            self.agents.withdraw(owner, keep=None)
            self._release(key, gateway)
            return None
        facts = self._facts(gateway)
        assigned = facts.assignment
        served = isinstance(assigned, Assigned) and acceptance(facts).status == "True"
        self.agents.withdraw(owner, keep=facts.load_balancer if served else None)
        if isinstance(assigned, Assigned) and served:
            earlier = self.memories.earlier(key)
            plan = plan_for_gateway(self.cluster.route_inputs(), gateway, facts.listeners, assigned, earlier)
            self.agents.push_owned(plan.load_balancer, owner, owned_files(plan))
            facts = replace(facts, plan=plan, state=self.agents.owner_state(plan.load_balancer, owner))
            self.gates.note(owner, plan.listeners, facts.state)
        self._tell_gateway(facts)
        return facts.plan

    def _facts(self, gateway: Gateway) -> GatewayFacts:
        gateway_class = self.cluster.gateways.class_of(gateway)
        wanted = self.cluster.gateways.wanted(gateway)
        assignment = self.cluster.assignments.get(gateway_owner(gateway.key))
        routes = self.cluster.gateways.routes_of(gateway.key)
        return GatewayFacts(
            gateway=gateway,
            load_balancer=wanted,
            fault=self._fault_of(gateway_class) if gateway_class is not None else "",
            assignment=assignment if assignment is not None and assignment.load_balancer == wanted else None,
            listeners=judge_listeners(self.cluster.route_inputs(), gateway, routes),
            state=OwnerState(),
        )

    def _tell_gateway(self, facts: GatewayFacts) -> None:
        plan, state = facts.plan, facts.state
        awaited = plan and (state.pending or not state.pods or health_awaited(plan, state))
        if awaited and not self.settled():
            return  # what was said before still holds, or will be found not to
        self.gateway_status.write(subject_of_gateway(facts.gateway), gateway_status(facts, self.now()))

    def _release(self, key: Key, gateway: Gateway | None) -> None:
        if gateway is None or gateway.metadata.deletion_timestamp is not None or not is_served(gateway):
            self.gateway_status.forget(key)
        else:
            self.gateway_status.write(subject_of_gateway(gateway), {})

    # routes

    def _tell_route(self, one: ObjectKey) -> None:
        route = self.cluster.gateways.routes[one.kind].get(one.key)
        if route is None:
            for writer in self.route_status.values():
                writer.forget(one.key)
            return
        inputs = self.cluster.route_inputs()
        status = route_status(route, tuple(self._parents(route)), backends_of(inputs, route), self.now())
        self.route_status[route.api_version, route.kind].write(subject_of_route(route), status)

    def _parents(self, route: Route) -> Iterator[ParentFacts]:
        inputs = self.cluster.route_inputs()
        for reference, written in zip(route.spec.parent_refs, route.spec.parents, strict=True):
            key = reference.gateway(route.key)
            gateway = self.cluster.gateways.all.get(key) if key is not None else None
            if gateway is not None and self.cluster.gateways.class_of(gateway) is not None:
                yield ParentFacts(written, refusal(inputs, gateway, reference, route))
