"""The readiness gate of backends' pods: which endpoints it lets in, and when it is open (docs/design/endpoints.md)."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from skylane_operator.model.forwarder import ForwarderBackend
from skylane_operator.model.health_check import HealthCheck
from skylane_operator.model.kubernetes import READY, EndpointSlice, Pod
from skylane_operator.plan.observed import AgentHealth, Observed, OwnerState
from skylane_operator.plan.types import ListenerPlan, Plan

IN_SERVICE = "skylane.dev/in-service"


def declares_gate(pod: Pod) -> bool:
    """Whether the pod waits for us."""
    return IN_SERVICE in pod.spec.readiness_gates


def is_ready_but_for_us(pod: Pod) -> bool:
    """Whether nothing but our gate keeps it from being Ready: its containers are, and all other gates are open."""
    if not declares_gate(pod) or pod.metadata.deletion_timestamp is not None:
        return False
    true = {one.type for one in pod.status.conditions if one.status == "True"}
    return {"ContainersReady", *pod.spec.readiness_gates} - {IN_SERVICE} <= true


def with_gated(slices: tuple[EndpointSlice, ...], addresses: Container[str]) -> tuple[EndpointSlice, ...]:
    """The slices with endpoints at these addresses ready, whatever Kubernetes says."""
    return tuple(_with_gated(piece, addresses) for piece in slices)


def _with_gated(piece: EndpointSlice, addresses: Container[str]) -> EndpointSlice:
    if not any(one.address in addresses for one in piece.endpoints):
        return piece
    endpoints = tuple(
        one._replace(conditions=one.conditions | READY) if one.address in addresses else one
        for one in piece.endpoints
    )
    return piece.model_copy(update={"endpoints": endpoints})


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far one listener has a backend in service.

    `reason` and `message` say why not; empty if it has. `proof_s` is how long that must have been so to be believed.
    """

    reason: str = ""
    message: str = ""
    proof_s: float = 0.0


def judgement_of(plan: ListenerPlan, backend: ForwarderBackend, state: OwnerState) -> Judgement:
    """Judge by what every pod of the LoadBalancer has said of the listener."""
    name, check = plan.listener.name, plan.listener.health_check
    if not state.pods or name in state.pending_listeners:
        return Judgement("NotProgrammed", f"not every LoadBalancer pod runs the newest listener {name} yet")
    if check is None:
        return Judgement()
    found = state.health.get(name, {})
    if missing := [pod for pod in state.pods if pod not in found]:
        return Judgement("HealthUnknown", f"pod {missing[0]} has not told of the health check of {name} yet")
    for pod, health in found.items():
        if trouble := _trouble(health, backend):
            return Judgement("Unhealthy", f"pod {pod}, listener {name}: {trouble}")
    return Judgement(proof_s=_proof_s(check))


def _trouble(health: AgentHealth, backend: ForwarderBackend) -> str:
    for sick in health.sick:
        if (sick.address, sick.port) == (backend.address, backend.port):
            return sick.reason
    # Agents name the first ones only: nobody can say that it is none of the others.
    return "too many backends fail to name them all" if health.unhealthy > len(health.sick) else ""


def _proof_s(check: HealthCheck) -> float:
    """A new backend is used until it fails: after so long it would have."""
    return check.unhealthy_threshold * check.interval_seconds + check.timeout_seconds


def own_state(plan: Plan, observed: Observed) -> OwnerState:
    """How far the pods run the listeners of the LoadBalancer's own spec."""
    return OwnerState(
        pods=tuple(pod.name for pod in plan.pods),
        pending_listeners=frozenset(_pending(plan, observed)),
        health={
            one.listener.name: {
                pod: agent.health[one.listener.name]
                for pod, agent in observed.agents.items()
                if one.listener.name in agent.health
            }
            for one in plan.listeners
        },
    )


def _pending(plan: Plan, observed: Observed) -> Iterator[str]:
    for pod in plan.pods:
        running = observed.agents[pod.name].listeners if pod.name in observed.agents else {}
        for listener in pod.listeners:
            if listener.name not in running or running[listener.name].generation != listener.generation:
                yield listener.name


def worst_of(judgements: Iterable[Judgement]) -> Judgement:
    """The one to tell of; of several that have it in service, the one that takes longest to be believed."""
    found = sorted(judgements, key=lambda one: (one.reason == "", -one.proof_s, one.message))
    if not found:
        return Judgement(
            "NoListener", "no listener of a LoadBalancer leads to it; make one, or remove the readiness gate"
        )
    return found[0]
