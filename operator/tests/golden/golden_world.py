"""A golden case: the objects of `<case>.in.yaml` to the text of `<case>.out.yaml`.

The input is a series of Kubernetes objects; the first is the LoadBalancer in question. Kinds that a case does not mention come from
common.yaml. A document of kind `Agents` maps pod names to what their agents say; a listener or base `planned` runs what the plan
says; `health` is what they say of their checks, `advertisement` of their routing daemon, `sync` of
other pods' flows. Of a Secret there is its password, or its
fault. A document of kind `Previous` is the status before, one of kind `Earlier` what listeners remember.
"""

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import yaml

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import (
    EndpointSlice,
    NetworkAttachmentDefinition,
    Node,
    Pod,
    Service,
    StatefulSet,
)
from skylane_operator.plan import Inputs, claims_for, load_balancer_from, plan_for
from skylane_operator.plan.memory import NOTHING, Earlier, Memory
from skylane_operator.plan.names import LOAD_BALANCER_LABEL
from skylane_operator.plan.observed import (
    AgentAdvertisement,
    AgentHealth,
    AgentListener,
    AgentSession,
    AgentState,
    AgentSync,
    Observed,
    SickBackend,
)
from skylane_operator.plan.parse import bgp_peer_from
from skylane_operator.plan.removal_guard import GuardMemory
from skylane_operator.plan.slow_start import StartMemory
from skylane_operator.plan.types import Password
from skylane_operator.render import RenderSettings, objects_for, sync_secret_for
from skylane_operator.snapshot import snapshot_for
from skylane_operator.status import rejected_status_for, status_for

FOLDER = Path(__file__).parent
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SETTINGS = RenderSettings(
    lb_image="skylane/lb:0.1.0",
    operator_address="10.96.0.42:9443",
    operator_server_name="skylane-operator.skylane-system.svc",
    ca_certificate="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
)


def _by_kind(path):
    kinds = defaultdict(list)
    for document in yaml.safe_load_all(path.read_text()):
        kinds[document["kind"]].append(document)
    return kinds


def _all(kinds, kind, model):
    return tuple(model.model_validate(document) for document in kinds[kind])


def _earlier(kinds):
    if not kinds["Earlier"]:
        return NOTHING
    (document,) = kinds["Earlier"]
    return Earlier({name: _memory(**one) for name, one in document["memories"].items()}, document["now_s"])


def _memory(guard=None, start=None):
    if guard:
        sets = {
            which: {reference: frozenset(map(_endpoint, found)) for reference, found in guard[which].items()}
            for which in ("base", "last")
        }
        guard = GuardMemory(**guard | sets)
    if start:
        came = {_endpoint(text): step for text, step in start["came"].items()}
        start = StartMemory(frozenset(map(_endpoint, start["known"])), start["anchor_s"], came)
    return Memory(guard, start)


def _endpoint(text):
    address, _, port = text.rpartition(":")
    return address, int(port)


def inputs_of(kinds, load_balancer):
    slices = defaultdict(tuple)
    for piece in _all(kinds, "EndpointSlice", EndpointSlice):
        slices[piece.metadata.labels["kubernetes.io/service-name"]] += (piece,)
    attachments = _all(kinds, "NetworkAttachmentDefinition", NetworkAttachmentDefinition)
    return Inputs(
        load_balancer=load_balancer,
        services={service.metadata.name: service for service in _all(kinds, "Service", Service)},
        endpoint_slices=slices,
        nodes=_all(kinds, "Node", Node),
        pods=_all(kinds, "Pod", Pod),
        network_attachments={attachment.metadata.key: attachment for attachment in attachments},
        bgp_peers={peer["metadata"]["name"]: bgp_peer_from(peer) for peer in kinds["BGPPeer"]},
        passwords={
            Key(load_balancer.key.namespace, one["metadata"]["name"]): Password(
                one.get("password", ""), one.get("fault", "")
            )
            for one in kinds["Secret"]
        },
        earlier=_earlier(kinds),
        other_claims=tuple(claims_for(load_balancer_from(other)) for other in kinds["LoadBalancer"][1:]),
    )


def _agent(said, pod):
    planned = {item.name: item.generation for item in pod.listeners}
    listeners = {
        name: AgentListener(planned[name] if state == "planned" else state["generation"], error_of(state))
        for name, state in said.get("listeners", {}).items()
    }
    health = {
        name: AgentHealth(**report | {"sick": tuple(SickBackend(**sick) for sick in report.get("sick", ()))})
        for name, report in said.get("health", {}).items()
    }
    base = said.get("base", "")
    generation = pod.base.generation if base == "planned" else base
    advertisement = said.get("advertisement", {})  # a golden agent has spoken
    sessions = tuple(AgentSession(**session) for session in advertisement.get("sessions", ()))
    return AgentState(
        said["connected"],
        generation,
        listeners,
        health=health,
        routing_error=said.get("routing_error", ""),
        sync=AgentSync(said["sync"]["state"], tuple(said["sync"].get("silent", ())))
        if "sync" in said
        else None,
        advertisement=AgentAdvertisement(
            **advertisement
            | {"sessions": sessions, "reasons": tuple(map(tuple, advertisement.get("reasons", ())))}
            | {"obstacles": tuple(advertisement.get("obstacles", ()))}
        ),
    )


def error_of(state):
    return state.get("error", "") if isinstance(state, dict) else ""


def observed_of(kinds, plan):
    pods = {
        pod.metadata.name: pod
        for pod in _all(kinds, "Pod", Pod)
        if pod.metadata.labels.get(LOAD_BALANCER_LABEL) == plan.key.name
    }
    said = {name: agent for document in kinds["Agents"] for name, agent in document["agents"].items()}
    return Observed(
        pods=pods,
        stateful_set=next(iter(_all(kinds, "StatefulSet", StatefulSet)), None),
        agents={pod.name: _agent(said[pod.name], pod) for pod in plan.pods if pod.name in said},
    )


def _plan_section(plan):
    return {
        "deployable": plan.deployable,
        "template_generation": plan.template_generation,
        "requests": plan.requests.totals,
        "placement": {
            "fits": plan.placement.fits,
            "reason": str(plan.placement.reason),
            "message": plan.placement.message,
        },
        "pods": [pod.name for pod in plan.pods],
        "listeners": {
            item.listener.name: [f"{b.address}:{b.port} weight {b.weight}" for b in item.backends]
            for item in plan.listeners
        },
        "rejected": rejected_section(plan.rejected),
    }


def rejected_section(rejected):
    return [
        {
            "object": str(item.key),
            "field": item.field,
            "listener": item.listener,
            "reason": str(item.reason),
            "blocks": str(item.blocks),
            "message": item.message,
        }
        for item in rejected
    ]


def outcome_of(case):
    """The four sections, or what was wrong with an object that could not be parsed."""
    kinds = _by_kind(FOLDER / "common.yaml") | _by_kind(FOLDER / f"{case}.in.yaml")
    kinds = defaultdict(list, kinds)
    previous = kinds["Previous"][0]["status"] if kinds["Previous"] else None
    body = kinds["LoadBalancer"][0]
    load_balancer = load_balancer_from(body)
    if isinstance(load_balancer, tuple):
        status = rejected_status_for(load_balancer, body["metadata"]["generation"], previous, NOW)
        return {"rejected": rejected_section(load_balancer), "status": status}
    plan = plan_for(inputs_of(kinds, load_balancer))
    return {
        "plan": _plan_section(plan),
        "render": [*filter(None, [sync_secret_for(plan, bytes(range(16)))]), *objects_for(plan, SETTINGS)],
        "snapshot": {
            ordinal: {
                "base": snapshot.base,
                "listeners": snapshot.listeners,
                **({"routing": snapshot.routing} if snapshot.routing["peers"] else {}),
            }
            for ordinal, snapshot in snapshot_for(plan).items()
        },
        "status": status_for(plan, observed_of(kinds, plan), previous, NOW),
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data):
        return True


def text_of(outcome):
    return yaml.dump(outcome, Dumper=_Dumper, sort_keys=False, width=200, allow_unicode=True)
