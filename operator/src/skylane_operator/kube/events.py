"""Events for what a user would want to know: a condition that turned, never one that merely still holds."""

import logging
from datetime import UTC, datetime
from typing import Any

from skylane_operator.errors import ApiError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.load_balancers import Stored
from skylane_operator.kube.resource import EVENT, LOAD_BALANCER

Json = dict[str, Any]

CONTROLLER = "skylane.dev/operator"
# The other types move with every rollout and endpoint change.
REPORTED = ("Accepted", "ResolvedRefs", "ResourcesAvailable", "BackendsHealthy", "Ready")
_MAX_NOTE = 1000  # characters; the API allows 1024 bytes

_log = logging.getLogger(__name__)


def turned(before: Json, after: Json) -> list[Json]:
    """Conditions of `after` that a user wants to hear of, compared to the status before."""
    known = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [
        condition
        for condition in after.get("conditions", ())
        if condition["type"] in REPORTED and _has_turned(known.get(condition["type"]), condition)
    ]


def _has_turned(before: Json | None, after: Json) -> bool:
    if before is None:  # a new object: what is wrong from the start, nothing that is as it should be
        return bool(after["status"] == "False" and after["type"] != "Ready")
    return bool((before["status"], before["reason"]) != (after["status"], after["reason"]))


class EventWriter:
    """Posts them. A lost event is not worth a retry: the condition says the same."""

    def __init__(self, client: KubeClient, instance: str) -> None:
        self._client, self._instance = client, instance

    async def report(self, stored: Stored, status: Json) -> None:
        """One event for each condition that turned."""
        for condition in turned(stored.status, status):
            try:
                await self._client.request(
                    "POST", EVENT.collection_path(stored.key.namespace), body=self._event(stored, condition)
                )
            except ApiError as error:
                _log.warning("event %s for %s: %s", condition["reason"], stored.key, error)

    def _event(self, stored: Stored, condition: Json) -> Json:
        return {
            "apiVersion": EVENT.group_version,
            "kind": EVENT.kind,
            "metadata": {"generateName": f"{stored.key.name}-", "namespace": stored.key.namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": condition["reason"],
            "type": "Normal" if condition["status"] == "True" else "Warning",
            "note": f"{condition['type']}: {condition['message']}"[:_MAX_NOTE],
            "regarding": {
                "apiVersion": LOAD_BALANCER.group_version,
                "kind": LOAD_BALANCER.kind,
                "namespace": stored.key.namespace,
                "name": stored.key.name,
                "uid": stored.uid,
            },
        }
