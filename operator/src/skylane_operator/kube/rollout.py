"""Replaces forwarder pods, and keeps those that run from a template that does not work."""

import logging
from typing import Any

from skylane_operator.errors import ApiConflictError, ApiNotFoundError
from skylane_operator.kube.apply import delete
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.owned import digest
from skylane_operator.kube.resource import CONTROLLER_REVISION, POD, STATEFUL_SET
from skylane_operator.model.key import Key
from skylane_operator.plan import Plan
from skylane_operator.plan.names import workload_name
from skylane_operator.plan.observed import Observed
from skylane_operator.plan.rollout import pod_to_replace

Json = dict[str, Any]

_log = logging.getLogger(__name__)


async def replace_stale_pod(client: KubeClient, plan: Plan, observed: Observed) -> None:
    """Delete at most one pod; the StatefulSet controller makes its successor. Raises ApiError."""
    pod = pod_to_replace(plan, observed)
    if pod is None:
        return
    _log.info("pod %s runs an older configuration than planned; replacing it", pod.key)
    try:
        await delete(client, POD, pod.key, pod.metadata.uid)
    except ApiConflictError:
        _log.info("pod %s has been replaced already", pod.key)


def template_of(objects: list[Json]) -> str:
    """Digest of the pod template among the objects of a LoadBalancer; empty without one."""
    workload = _workload(objects)
    return "" if workload is None else digest(workload["spec"]["template"])


class Templates:
    """Pod templates of earlier revisions, as the StatefulSet controller keeps them (apps/v1 ControllerRevision)."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._kept: dict[Key, tuple[str, Json]] = {}  # by StatefulSet, with the name of its revision

    async def rolled_back(self, objects: list[Json], revision: str) -> list[Json] | None:
        """The objects, with the template of an earlier revision; None when that is gone. Raises ApiError."""
        workload = _workload(objects)
        if workload is None:
            return None
        template = await self._template(
            Key(workload["metadata"]["namespace"], workload["metadata"]["name"]), revision
        )
        if template is None:
            return None
        older = {**workload, "spec": {**workload["spec"], "template": template}}
        return [older if body is workload else body for body in objects]

    async def _template(self, workload: Key, revision: str) -> Json | None:
        name, template = self._kept.get(workload, ("", {}))
        if name == revision:
            return template
        try:
            body = await self._client.request(
                "GET", CONTROLLER_REVISION.path(Key(workload.namespace, revision))
            )
        except ApiNotFoundError:
            return None
        owners = body["metadata"].get("ownerReferences", ())
        if not any(owner["kind"] == STATEFUL_SET.kind and owner["name"] == workload.name for owner in owners):
            return None
        # It is kept as a strategic merge patch.
        template = {
            name: value for name, value in body["data"]["spec"]["template"].items() if name != "$patch"
        }
        self._kept[workload] = (revision, template)
        return template

    def forget(self, load_balancer: Key) -> None:
        """It is gone, and its StatefulSet with it."""
        self._kept.pop(Key(load_balancer.namespace, workload_name(load_balancer.name)), None)


def _workload(objects: list[Json]) -> Json | None:
    return next((body for body in objects if body["kind"] == STATEFUL_SET.kind), None)
