"""The statuses of GatewayClasses and Gateways, as they are applied. Reasons are those of Gateway API where it has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skylane_operator.model.gateway import GATEWAY_GROUP, Gateway, GatewayClass, conditions_of
from skylane_operator.model.key import Key
from skylane_operator.plan.gateway_listeners import JudgedListener, files_of, setting_faults
from skylane_operator.plan.observed import OwnerState
from skylane_operator.plan.owned import OwnedPlan
from skylane_operator.plan.service_types import (
    ADDRESS_ASSIGNED,
    BACKENDS_HEALTHY,
    Assigned,
    Assignment,
    Refused,
    ServiceReason,
)
from skylane_operator.status.build import Status, dated
from skylane_operator.status.conditions import Verdict
from skylane_operator.status.owned_health import owned_backends_healthy
from skylane_operator.status.service import address_assigned, programming_lag

ACCEPTED, PROGRAMMED, CONFLICTED, RESOLVED_REFS = "Accepted", "Programmed", "Conflicted", "ResolvedRefs"
# What its conformance tests may ask of us, by name. Those of other features try them on HTTP listeners.
SUPPORTED_FEATURES = ("Gateway", "ReferenceGrant", "TCPRoute", "UDPRoute")
# What Gateway API calls that with which a Service's pods lag behind.
_LAGS = {"LoadBalancerNotReady": "NoResources", "GenerationPending": "Pending"}


def gateway_class_status(gateway_class: GatewayClass, fault: str, now: datetime) -> Status:
    """Status of a class of ours; `fault` says what is wrong with its parameters."""
    if fault:
        verdict = Verdict(ACCEPTED, "False", "InvalidParameters", fault)
    else:
        verdict = Verdict(ACCEPTED, "True", "Accepted", "its LoadBalancer serves Gateways of this class")
    return {
        "conditions": _conditions([verdict], gateway_class.metadata.generation, gateway_class.status, now),
        "supportedFeatures": [{"name": name} for name in SUPPORTED_FEATURES],
    }


def current_class_status(gateway_class: GatewayClass) -> Status:
    """What of its status is ours, in the form of `gateway_class_status`."""
    status = _own(gateway_class.status, (ACCEPTED,))
    if "supportedFeatures" in gateway_class.status:
        status["supportedFeatures"] = gateway_class.status["supportedFeatures"]
    return status


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What is known of a Gateway of ours.

    `fault` says what is wrong with the parameters of its class. `assignment` is None while nothing is assigned, `plan` while
    it is not served.
    """

    gateway: Gateway
    load_balancer: Key | None
    fault: str
    assignment: Assignment | None
    listeners: tuple[JudgedListener, ...]
    state: OwnerState
    plan: OwnedPlan | None = None


def acceptance(facts: GatewayFacts) -> Verdict:
    """The condition Accepted. A Gateway that is not accepted is not served."""
    for reason, message in _objections(facts):
        return Verdict(ACCEPTED, "False", reason, message)
    wrong = [one.listener.name for one in facts.listeners if not one.accepted]
    if wrong:
        message = f"served but for listener {', '.join(wrong)}; look at their conditions"
        return Verdict(ACCEPTED, "True", "ListenersNotValid", message)
    return Verdict(ACCEPTED, "True", "Accepted", f"LoadBalancer {facts.load_balancer} serves it")


def _objections(facts: GatewayFacts) -> list[tuple[str, str]]:
    spec, assignment = facts.gateway.spec, facts.assignment
    objections: list[tuple[str, str]] = []
    if facts.fault:
        objections.append(("InvalidParameters", f"GatewayClass {spec.gateway_class_name}: {facts.fault}"))
    if spec.parameters_ref is not None:
        message = "spec.infrastructure.parametersRef: the class names the LoadBalancer; remove it"
        objections.append(("InvalidParameters", message))
    for index, address in enumerate(spec.addresses):
        if address.type != "IPAddress":
            message = f"spec.addresses[{index}].type: {address.type} is not supported; use IPAddress"
            objections.append(("UnsupportedAddress", message))
    if isinstance(assignment, Refused) and assignment.reason is ServiceReason.NOT_PERMITTED:
        objections.append((str(assignment.reason), assignment.message))
    if not any(one.accepted for one in facts.listeners):
        objections.append(
            ("ListenersNotValid", "none of its listeners can be served; look at their conditions")
        )
    return objections


def gateway_status(facts: GatewayFacts, now: datetime) -> Status:
    """Status of a Gateway of ours."""
    gateway, assignment = facts.gateway, facts.assignment
    accepted = acceptance(facts)
    verdicts = [accepted, _programmed(facts, accepted)]
    if assignment is not None:
        verdicts.append(address_assigned(assignment))
    if facts.plan is not None and (healthy := owned_backends_healthy(facts.plan, facts.state)):
        verdicts.append(healthy)
    status: Status = {
        "conditions": _conditions(verdicts, gateway.metadata.generation, gateway.status, now),
        "listeners": [_listener(facts, accepted, one, now) for one in facts.listeners],
    }
    if isinstance(assignment, Assigned):
        status["addresses"] = [{"type": "IPAddress", "value": str(one)} for one in assignment.addresses]
    return status


def current_gateway_status(gateway: Gateway) -> Status:
    """What of its status is ours, in the form of `gateway_status`."""
    status = _own(gateway.status, (ACCEPTED, PROGRAMMED, ADDRESS_ASSIGNED, BACKENDS_HEALTHY))
    if gateway.status.get("addresses"):
        status["addresses"] = gateway.status["addresses"]
    if "listeners" in gateway.status:
        status["listeners"] = gateway.status["listeners"]
    return status


def is_served(gateway: Gateway) -> bool:
    """Whether its status says that it is, or was, ours."""
    return ADDRESS_ASSIGNED in conditions_of(gateway.status)


def _programmed(facts: GatewayFacts, accepted: Verdict) -> Verdict:
    reason, message = _unprogrammed(facts, accepted) or ("", "")
    if reason:
        return Verdict(PROGRAMMED, "False", reason, message)
    return Verdict(PROGRAMMED, "True", "Programmed", "every pod runs the newest configuration")


def _unprogrammed(facts: GatewayFacts, accepted: Verdict) -> tuple[str, str] | None:
    spec, assignment = facts.gateway.spec, facts.assignment
    if accepted.status != "True" or facts.load_balancer is None:
        return "Invalid", f"see the condition {ACCEPTED}"
    no_address = "AddressNotUsable" if spec.requested_addresses else "AddressNotAssigned"
    if assignment is None:
        return no_address, "none is assigned yet"
    refused = assignment if isinstance(assignment, Refused) else assignment.second
    if isinstance(refused, Refused):
        missing = refused.reason is ServiceReason.LOAD_BALANCER_NOT_FOUND
        return "NoResources" if missing else no_address, refused.message
    if isinstance(assignment, Assigned) and len(spec.requested_addresses) > len(assignment.addresses):
        return no_address, "spec.addresses: a Gateway has one address of each IP version; remove the others"
    if faults := setting_faults(facts.gateway):
        return str(faults[0].reason), "; ".join(fault.message for fault in faults)
    lag = programming_lag(facts.load_balancer, facts.state)
    return (_LAGS.get(lag[0], lag[0]), lag[1]) if lag else None


def _listener(facts: GatewayFacts, accepted: Verdict, judged: JudgedListener, now: datetime) -> Status:
    listener = judged.listener
    before: Status = next(
        (one for one in facts.gateway.status.get("listeners") or () if one["name"] == listener.name), {}
    )
    verdicts = [
        _listener_accepted(judged),
        _conflicted(judged),
        _resolved(judged),
        _listener_programmed(facts, accepted, judged),
    ]
    return {
        "name": listener.name,
        "supportedKinds": [{"group": GATEWAY_GROUP, "kind": kind} for kind in listener.supported_kinds],
        "attachedRoutes": len(judged.routes),
        "conditions": _conditions(verdicts, facts.gateway.metadata.generation, before, now),
    }


def _listener_accepted(judged: JudgedListener) -> Verdict:
    if not judged.supported:
        message = f"protocol: {judged.listener.protocol} is not supported; use TCP or UDP"
        return Verdict(ACCEPTED, "False", "UnsupportedProtocol", message)
    if judged.conflict:
        return Verdict(ACCEPTED, "False", "ProtocolConflict", f"see the condition {CONFLICTED}")
    return Verdict(ACCEPTED, "True", "Accepted", "it is served")


def _conflicted(judged: JudgedListener) -> Verdict:
    listener = judged.listener
    if judged.conflict:
        message = f"port: listener {judged.conflict} has {listener.port}/{listener.protocol} already; choose another port"
        return Verdict(CONFLICTED, "True", "ProtocolConflict", message)
    return Verdict(CONFLICTED, "False", "NoConflicts", "no other listener has its port and protocol")


def _resolved(judged: JudgedListener) -> Verdict:
    unsupported = judged.listener.unsupported_kinds
    if unsupported:
        message = f"allowedRoutes.kinds: {', '.join(unsupported)} cannot attach to a {judged.listener.protocol} listener; remove it"
        return Verdict(RESOLVED_REFS, "False", "InvalidRouteKinds", message)
    return Verdict(RESOLVED_REFS, "True", "ResolvedRefs", "all kinds of routes that it names can attach")


def _listener_programmed(facts: GatewayFacts, accepted: Verdict, judged: JudgedListener) -> Verdict:
    if not judged.accepted or accepted.status != "True":
        return Verdict(PROGRAMMED, "False", "Invalid", f"see the condition {ACCEPTED}")
    addresses = facts.assignment.addresses if isinstance(facts.assignment, Assigned) else ()
    pending = files_of(facts.gateway, judged.listener, addresses) & facts.state.pending_listeners
    if not addresses or not facts.state.pods or pending:
        return Verdict(PROGRAMMED, "False", "Pending", f"see the condition {PROGRAMMED} of the Gateway")
    return Verdict(PROGRAMMED, "True", "Programmed", "every pod runs it")


def _own(status: Mapping[str, Any], types: tuple[str, ...]) -> Status:
    mine = [one for one in status.get("conditions") or () if one["type"] in types]
    return {"conditions": mine} if mine else {}


def _conditions(
    verdicts: list[Verdict], generation: int, previous: Mapping[str, Any], now: datetime
) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json", by_alias=True) for one in dated(verdicts, generation, previous, now)]
