"""The story: read, plan, apply and push, tell.

Level-based: whatever woke us, the whole is looked at, and nothing is written that is as it should be already.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from skylane_operator.agents.registry import Agents
from skylane_operator.errors import ForeignObjectError
from skylane_operator.kube.apply import Applier
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.load_balancers import Stored
from skylane_operator.kube.names import AGAIN_S, NamePublisher, Published
from skylane_operator.kube.resource import LOAD_BALANCER, STATEFUL_SET
from skylane_operator.kube.rollout import Templates, replace_stale_pod, template_of
from skylane_operator.kube.status_writer import StatusWriter
from skylane_operator.kube.sync_secrets import SyncSecrets
from skylane_operator.memories import Memories
from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.model.upgrade import UpgradeStatus
from skylane_operator.plan import Plan, plan_for
from skylane_operator.plan.dns import checks_awaited
from skylane_operator.plan.in_service import own_state
from skylane_operator.plan.names import workload_name
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.rollout import is_known
from skylane_operator.plan.upgrade import UpgradeInputs, is_rolled_back, upgrade_for
from skylane_operator.plan.upgrade import look_again_s as upgrade_look_again_s
from skylane_operator.plan.vip_owner import Grant, vip_grant
from skylane_operator.readiness_gates import ReadinessGates
from skylane_operator.render import Object, RenderSettings, objects_for, sync_secret_for
from skylane_operator.snapshot import snapshot_for
from skylane_operator.status import Told, agents_awaited, rejected_status_for, status_for


@dataclass(frozen=True, slots=True)
class Reconciler:
    """`settings` is asked each time: the CA in it may be replaced while we run.

    `settled` tells whether every agent has had time to dial since we started.
    """

    client: KubeClient
    cluster: Cluster
    agents: Agents
    applier: Applier
    sync_secrets: SyncSecrets
    status: StatusWriter
    settings: Callable[[], RenderSettings]
    settled: Callable[[], bool]
    now: Callable[[], datetime]
    templates: Templates
    names: NamePublisher
    upgrade_deadline_s: int
    began: datetime
    gates: ReadinessGates
    memories: Memories[Key] = field(default_factory=Memories)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one LoadBalancer closer to what it asks for; seconds until it needs a look though nothing changes, if it does.

        Raises SkylaneError when something has to be tried again.
        """
        stored = await self.cluster.load_balancers.read(key)
        if stored is None:
            self._forget(key)
        elif stored.ending:
            return None  # what we apply now the garbage collector would have to delete again, for ever
        elif isinstance(stored.parsed, LoadBalancer):
            return await self._serve(stored, stored.parsed)
        else:
            status = rejected_status_for(stored.parsed, stored.generation, stored.status, self.now())
            self.status.write(stored, status)
        return None

    async def _serve(self, stored: Stored, load_balancer: LoadBalancer) -> float | None:
        await self.cluster.read_passwords(load_balancer)
        earlier = self.memories.earlier(stored.key)
        grant = self._vip_grant(load_balancer)
        inputs = self.cluster.inputs_for(stored, load_balancer)
        plan = plan_for(replace(inputs, earlier=earlier, vip_owner=grant.ordinal))
        if grant.known:
            self._push(plan)
        look_again_s = _sooner(self.memories.keep(plan.key, plan.listeners), grant.look_again_s)
        obstacle = ""
        objects = objects_for(plan, self.settings())
        upgrading = UpgradeInputs(
            UpgradeStatus.read(stored.status.get("upgrade")),
            template_of(objects),
            self.now(),
            self.began,
            self.upgrade_deadline_s,
        )
        published = await self._publish(plan, stored.uid)
        try:
            look_again_s = _sooner(look_again_s, await self._ensure_sync_secret(plan, stored.uid))
            upgrading = await self._apply(plan, stored.uid, objects, upgrading)
        except ForeignObjectError as error:
            obstacle = str(error)
            raise
        finally:
            # Also when the API server refused something: what is true of the rest is told all the same.
            observed = self._observed(plan, obstacle)
            self.gates.note(_own(plan.key), plan.listeners, own_state(plan, observed))
            if self.settled() or not agents_awaited(plan, observed):
                upgrade = upgrade_for(plan, observed, upgrading)
                known = is_known(plan, observed)
                told = Told(upgrade, known, published.names, published.fault)
                self.status.write(stored, status_for(plan, observed, stored.status, self.now(), told))
                look_again_s = _sooner(look_again_s, upgrade_look_again_s(upgrade, upgrading))
            if published.fault:
                look_again_s = _sooner(look_again_s, AGAIN_S)
        await replace_stale_pod(self.client, plan, observed)
        return look_again_s

    def _observed(self, plan: Plan, obstacle: str) -> Observed:
        key = plan.key
        observed = self.cluster.observed_for(
            key, self.agents.states_of(key), self.agents.owners_of(key), obstacle
        )
        seen = self.applier.has_seen(STATEFUL_SET.kind, Key(key.namespace, workload_name(key.name)))
        return observed if seen else replace(observed, stateful_set=None)

    async def _publish(self, plan: Plan, uid: str) -> Published:
        """What names resolve to; nothing is said of it before it can be known who is in service."""
        observed = self.cluster.observed_for(plan.key, self.agents.states_of(plan.key), {})
        if (agents_awaited(plan, observed) or checks_awaited(plan, observed)) and not self.settled():
            return Published()
        return await self.names.publish(plan, uid, observed)

    def _vip_grant(self, load_balancer: LoadBalancer) -> Grant:
        key = load_balancer.key
        observed = self.cluster.observed_for(key, self.agents.states_of(key), {})
        return vip_grant(
            load_balancer, observed, self.agents.granted(key), self.now(), settled=self.settled()
        )

    def _push(self, plan: Plan) -> None:
        snapshots = snapshot_for(plan)
        self.agents.push(plan.key, {pod.name: snapshots[pod.ordinal] for pod in plan.pods})

    async def _ensure_sync_secret(self, plan: Plan, uid: str) -> float | None:
        if not plan.deployable:
            return None
        awaited = self.cluster.awaits_pods(plan.key)
        return await self.sync_secrets.ensure(
            plan.key, uid, lambda sync_key: sync_secret_for(plan, sync_key), awaited=awaited
        )

    async def _apply(
        self, plan: Plan, uid: str, objects: list[Object], upgrading: UpgradeInputs
    ) -> UpgradeInputs:
        if not plan.deployable:
            return upgrading
        previous = upgrading.previous
        if previous is not None and is_rolled_back(previous, upgrading.template):
            older = await self.templates.rolled_back(objects, previous.revision or "")
            if older is None:  # the controller does not keep it any more: the newer one is all there is
                upgrading = replace(upgrading, previous=None)
            objects = older or objects
        await self.applier.apply(objects)
        await self.applier.prune(plan.key, uid, objects)
        return upgrading

    def _forget(self, key: Key) -> None:
        self.agents.forget(key)
        self.gates.forget(_own(key))
        self.memories.forget(key)
        self.applier.forget(key)
        self.templates.forget(key)
        self.sync_secrets.forget(key)
        self.status.forget(key)


def _own(key: Key) -> ObjectKey:
    """Whose the listeners of its own spec are."""
    return ObjectKey(LOAD_BALANCER.kind, key)


def _sooner(one_s: float | None, other_s: float | None) -> float | None:
    return min((s for s in (one_s, other_s) if s is not None), default=None)
