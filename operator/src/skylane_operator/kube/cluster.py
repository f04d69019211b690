"""All that we watch, and how a plan's inputs are read from it: from memory, at a cost that depends on one LoadBalancer only."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar

from skylane_operator.kube.changes import Changes
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.gated_pods import GatedPods
from skylane_operator.kube.gateways import Gateways
from skylane_operator.kube.indexes import (
    forwarder_index,
    load_balancer_of,
    marked_index,
    password_index,
    service_of,
)
from skylane_operator.kube.load_balancers import LoadBalancers, Stored
from skylane_operator.kube.owned import LABEL_SELECTOR, Owned, owned_from
from skylane_operator.kube.passwords import Passwords
from skylane_operator.kube.reflector import Changed, Reflector
from skylane_operator.kube.resource import (
    BGP_PEER,
    DNS_ENDPOINT,
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_ATTACHMENT,
    NODE,
    OWNED,
    POD,
    SERVICE,
    STATEFUL_SET,
    VIRTUAL_IP_POOL,
    Resource,
)
from skylane_operator.kube.store import Store
from skylane_operator.kube.subjects import StoredPool, stored_pool_from
from skylane_operator.kube.usage import NodeUsage, is_forwarder
from skylane_operator.model.address import IPAddress
from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.key import Key, ObjectKey, service_owner
from skylane_operator.model.kubernetes import (
    EndpointSlice,
    Namespace,
    NetworkAttachmentDefinition,
    Node,
    Pod,
    Service,
)
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan import Inputs
from skylane_operator.plan.address_inputs import AddressInputs
from skylane_operator.plan.askers import service_asker
from skylane_operator.plan.gateway_routes import RouteInputs
from skylane_operator.plan.in_service import with_gated
from skylane_operator.plan.observed import AgentState, Observed
from skylane_operator.plan.parse import bgp_peer_from
from skylane_operator.plan.placement import requested_by
from skylane_operator.plan.service_class import wanted_load_balancer
from skylane_operator.plan.service_types import Assignment, is_marked
from skylane_operator.plan.types import InvalidPeer

T = TypeVar("T")
Json = dict[str, Any]


def _pod_from(body: Json) -> Pod:
    pod = Pod.model_validate(body)
    requested_by(
        pod
    )  # raises ValueError here, where one pod is left out, instead of later, where it would stop a plan
    return pod


class Cluster:
    """Stores and the reflectors that keep them."""

    def __init__(
        self,
        client: KubeClient,
        namespaces: tuple[str, ...],
        changes: Changes,
        default_load_balancer: Key | None = None,
        *,
        gateway_api: bool = True,
        readiness_gates: bool = False,
    ) -> None:
        self.load_balancers = LoadBalancers(client, namespaces, changes.own, changes.offered)
        self._default = default_load_balancer
        self.services: Store[Service] = Store(
            {
                "load_balancer": self._wanted_index,
                "marked": marked_index,
                "namespace": lambda service: (service.metadata.namespace,),
            }
        )
        self.gated = GatedPods(self.services, enabled=readiness_gates)
        self.namespaces: Store[Namespace] = Store()
        self.pools: Store[StoredPool] = Store()
        # Written by whoever assigns addresses, read by the plans.
        self.assignments: dict[ObjectKey, Assignment] = {}
        self.address_holders: dict[IPAddress, ObjectKey] = {}
        self.endpoint_slices: Store[EndpointSlice] = Store({"service": lambda piece: (service_of(piece),)})
        self.nodes: Store[Node] = Store()
        self.pods: Store[Pod] = Store({"forwarder": forwarder_index})
        self.attachments: Store[NetworkAttachmentDefinition] = Store()
        self.bgp_peers: Store[BGPPeer | InvalidPeer] = Store({"secret": password_index})
        self.passwords = Passwords(client, self._password_changed, self._password_used)
        self.owned: dict[str, Store[Owned]] = {
            resource.kind: Store({"load_balancer": lambda owned: (owned.load_balancer,)})
            for resource in (*OWNED, DNS_ENDPOINT)
        }
        self.gateways = Gateways(namespaces, changes)
        self.reflectors: list[Reflector[Any]] = []
        self._usage = NodeUsage()
        self._client, self._namespaces, self._changes = client, namespaces or ("",), changes
        self._reflect_all()
        if gateway_api:
            self.gateways.reflect(self._reflect)

    def _reflect_all(self) -> None:
        changes = self._changes
        self._reflect(SERVICE, Service.model_validate, self.services, self._service_changed)
        self._reflect(ENDPOINT_SLICE, EndpointSlice.model_validate, self.endpoint_slices, self._slice_changed)
        # Nodes have no namespace, and pods of every namespace use them; attachments may lie in any.
        self._reflect(NODE, Node.model_validate, self.nodes, lambda *_: changes.nodes(), everywhere=True)
        self._reflect(POD, _pod_from, self.pods, self._pod_changed, everywhere=True)
        self._reflect(
            NETWORK_ATTACHMENT,
            NetworkAttachmentDefinition.model_validate,
            self.attachments,
            lambda key, _old, _new: changes.attachment(key),
            everywhere=True,
        )
        self._reflect(BGP_PEER, bgp_peer_from, self.bgp_peers, lambda key, _old, _new: changes.bgp_peer(key))
        self._reflect(VIRTUAL_IP_POOL, stored_pool_from, self.pools, self._pool_changed, everywhere=True)
        self._reflect(
            NAMESPACE, Namespace.model_validate, self.namespaces, self._namespace_changed, everywhere=True
        )
        for resource in (*OWNED, DNS_ENDPOINT):
            self._reflect(
                resource, owned_from, self.owned[resource.kind], self._owned_changed, selector=LABEL_SELECTOR
            )

    def _reflect(
        self,
        resource: Resource,
        parse: Callable[[Json], T],
        store: Store[T],
        changed: Changed[T],
        *,
        everywhere: bool = False,
        selector: str = "",
    ) -> None:
        for namespace in ("",) if everywhere else self._namespaces:
            self.reflectors.append(
                Reflector(
                    self._client,
                    resource,
                    parse,
                    store,
                    changed,
                    namespace=namespace,
                    label_selector=selector,
                )
            )

    async def run(self) -> None:
        """Keep the stores up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self.reflectors:
                group.create_task(reflector.run(), name=f"reflect {reflector.resource.plural}")

    async def synced(self) -> None:
        """Wait until everything has been listed once: before that, what is missing may only not have been read yet."""
        for reflector in self.reflectors:
            await reflector.synced.wait()

    async def catch_up(self, timeout_s: float) -> list[str]:
        """Wait until every watch is open, those that failed being tried again at once; the kinds that failed once more."""
        waits = {asyncio.create_task(one.catch_up()): one.resource.plural for one in self.reflectors}
        _, late = await asyncio.wait(waits, timeout=timeout_s)
        for task in late:
            task.cancel()
        return sorted({waits[task] for task in late})

    def silence_s(self) -> float:
        """Seconds since the reflector that has been silent longest heard of the API server."""
        return time.monotonic() - min(reflector.last_contact for reflector in self.reflectors)

    def stalled_s(self) -> float:
        """Seconds since the reflector that has been stuck longest did anything; trying in vain is doing something."""
        return time.monotonic() - min(reflector.last_turn for reflector in self.reflectors)

    def inputs_for(self, stored: Stored, load_balancer: LoadBalancer) -> Inputs:
        """Everything that a plan for it depends on."""
        key, spec = stored.key, load_balancer.spec
        names = {backend.service for listener in spec.listeners for backend in listener.backends}
        keys = {name: Key(key.namespace, name) for name in sorted(names)}
        services = {name: self.services.get(service) for name, service in keys.items()}
        attachments = {network.attachment_key(key.namespace) for network in spec.dataplane.networks}
        found = {attachment: self.attachments.get(attachment) for attachment in attachments}
        others = self.load_balancers.sharing_addresses(stored)
        peers = {peer.name: self.bgp_peers.get(peer) for peer in load_balancer.bgp_peers}
        return Inputs(
            load_balancer=load_balancer,
            services={name: service for name, service in services.items() if service is not None},
            endpoint_slices={name: self.slices_of(service) for name, service in keys.items()},
            nodes=tuple(self.nodes.values()),
            pods=self._usage.as_pods() + self.pods.by("forwarder", True),  # noqa: FBT003 - an index value
            network_attachments={name: one for name, one in found.items() if one is not None},
            other_claims=tuple(other.claims for other in others if other.claims is not None),
            assigned_addresses={
                address: self.address_holders[address]
                for address in stored.addresses & self.address_holders.keys()
            },
            bgp_peers={name: peer for name, peer in peers.items() if peer is not None},
            passwords=self.passwords.known,
        )

    def slices_of(self, service: Key) -> tuple[EndpointSlice, ...]:
        """Its endpoints, with those ready that only our readiness gate keeps from being it."""
        slices = self.endpoint_slices.by("service", service)
        return with_gated(slices, self.gated.endpoints) if self.gated.endpoints else slices

    def observed_for(
        self,
        key: Key,
        agents: Mapping[str, AgentState],
        owners: Mapping[str, ObjectKey],
        obstacle: str = "",
    ) -> Observed:
        """What there is of it: its pods, its StatefulSet and, by pod name, its agents."""
        sets = self.owned[STATEFUL_SET.kind].by("load_balancer", key)
        pods = {pod.metadata.name: pod for pod in self.pods.by("forwarder", key)}
        return Observed(
            pods=pods,
            stateful_set=sets[0].stateful_set if sets else None,
            # An agent may outlive its pod for a while; its words are not those of the pod's successor.
            agents={
                name: agent
                for name, agent in agents.items()
                if name in pods and agent.pod_uid == pods[name].metadata.uid
            },
            owners=owners,
            obstacle=obstacle,
        )

    def serves(self, resource: Resource) -> bool:
        """Whether the API server knows the kind, as far as has been seen."""
        return any(one.resource.kind == resource.kind and not one.absent for one in self.reflectors)

    def awaits_pods(self, key: Key) -> bool:
        """Whether a pod of it is Pending."""
        return any(pod.status.phase == "Pending" for pod in self.pods.by("forwarder", key))

    async def read_passwords(self, load_balancer: LoadBalancer) -> None:
        """Have the passwords of its BGP peers at hand that have not been read yet. Raises ApiError."""
        for key in load_balancer.bgp_peers:
            peer = self.bgp_peers.get(key)
            if isinstance(peer, BGPPeer) and peer.password_secret is not None:
                await self.passwords.need(peer.password_secret)

    def _password_used(self, secret: Key) -> bool:
        return bool(self.bgp_peers.keys_by("secret", secret))

    def _password_changed(self, secret: Key) -> None:
        for peer in self.bgp_peers.keys_by("secret", secret):
            self._changes.bgp_peer(peer)

    def forget_assignments(self) -> None:
        """Have addresses assigned by what the statuses say: another replica may have done so since it was last our turn."""
        self.assignments, self.address_holders = {}, {}

    def wanted(self, service: Service) -> Key | None:
        """The LoadBalancer that a Service of type LoadBalancer asks for, if it is one of ours."""
        return wanted_load_balancer(service, self._default)

    def asking_for(self, load_balancer: Key) -> list[ObjectKey]:
        """What asks for it: Services of type LoadBalancer, GatewayClasses and their Gateways."""
        services = self.services.keys_by("load_balancer", load_balancer)
        return [*map(service_owner, services), *self.gateways.asking_for(load_balancer)]

    def asking(self) -> list[ObjectKey]:
        """Those that ask for one of ours, those whose status still says that we served them, and what they refer to."""
        asking = [
            owner
            for owner in self.assignments
            if owner.kind == SERVICE.kind and self.services.get(owner.key) is not None
        ]
        marked = map(service_owner, self.services.keys_by("marked", True))  # noqa: FBT003 - an index value
        return sorted({*asking, *marked, *self.gateways.objects()})

    def route_inputs(self) -> RouteInputs:
        """What the references of routes depend on."""
        return RouteInputs(
            service=self.services.get,
            endpoint_slices=self.slices_of,
            grants=lambda namespace: self.gateways.grants.by("namespace", namespace),
            namespace_labels=self._labels_of,
        )

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        found = self.namespaces.get(Key("", namespace))
        return found.metadata.labels if found is not None else {}

    def address_inputs(self) -> AddressInputs:
        """Everything that the addresses of Services and Gateways depend on."""
        asking = ((service, self.wanted(service)) for service in self.services.values())
        services = (service_asker(service, wanted) for service, wanted in asking if wanted is not None)
        return AddressInputs(
            askers=(*services, *self.gateways.askers()),
            load_balancers=self.load_balancers.offers(),
            dual_stack=self.load_balancers.dual_stack(),
            pools={
                pool.key.name: pool.parsed
                for pool in self.pools.values()
                if isinstance(pool.parsed, VirtualIPPool)
            },
            namespace_labels={one.metadata.name: one.metadata.labels for one in self.namespaces.values()},
            reserved=self.load_balancers.claimed(),
            previous=self.assignments,
        )

    def _wanted_index(self, service: Service) -> Iterator[Hashable]:
        wanted = self.wanted(service)
        if wanted is not None:
            yield wanted

    def _service_changed(self, key: Key, old: Service | None, new: Service | None) -> None:
        self._changes.service(key)
        if old is None or new is None or old.spec.ports != new.spec.ports:
            self.gateways.service_changed(key)
        states = [one for one in (old, new) if one is not None]
        if any(self.wanted(one) or is_marked(one) for one in states):
            self._changes.object(service_owner(key))
            if len({self._address_terms(one) for one in (old, new)}) > 1:
                self._changes.addresses()

    def _address_terms(self, service: Service | None) -> Hashable:
        """What of a Service its address depends on."""
        wanted = self.wanted(service) if service is not None else None
        if service is None or wanted is None:
            return None
        metadata, spec = service.metadata, service.spec
        annotations, labels = (
            tuple(sorted(metadata.annotations.items())),
            tuple(sorted(metadata.labels.items())),
        )
        return (
            wanted,
            metadata.uid,
            annotations,
            labels,
            spec.load_balancer_ip,
            spec.ip_families,
            spec.ports,
        )

    def _pool_changed(self, _key: Key, old: StoredPool | None, new: StoredPool | None) -> None:
        if old is None or new is None or old.parsed != new.parsed:
            self._changes.addresses()

    def _namespace_changed(self, _key: Key, old: Namespace | None, new: Namespace | None) -> None:
        if (old.metadata.labels if old else {}) != (new.metadata.labels if new else {}):
            self._changes.addresses()
            self.gateways.namespaces_changed()

    def _slice_changed(self, _key: Key, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for key in {service_of(piece) for piece in (old, new) if piece is not None}:
            self._endpoints_changed(key)

    def _endpoints_changed(self, key: Key) -> None:
        self._changes.service(key)
        self.gateways.endpoints_changed(key)
        service = self.services.get(key)
        if service is not None and self.wanted(service) is not None:
            self._changes.object(service_owner(key))

    def _pod_changed(self, key: Key, old: Pod | None, new: Pod | None) -> None:
        if self.gated.concern(old, new):
            self._changes.object(ObjectKey(POD.kind, key))
            for service in self.gated.changed(old, new):
                self._endpoints_changed(service)
        for load_balancer in {
            load_balancer_of(pod) for pod in (old, new) if pod is not None and is_forwarder(pod)
        }:
            self._changes.own(load_balancer)
        gone = old is not None and new is None
        if self._usage.changed(old, new) or gone:
            self._changes.usage()

    def _owned_changed(self, _key: Key, old: Owned | None, new: Owned | None) -> None:
        for load_balancer in {owned.load_balancer for owned in (old, new) if owned is not None}:
            self._changes.own(load_balancer)
