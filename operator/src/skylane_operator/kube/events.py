"""Events for what a user would want to know: a condition that turned, never one that merely still holds."""

import logging
from datetime import UTC, datetime
from typing import Any, Protocol

from skylane_operator.errors import ApiError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import EVENT, Resource
from skylane_operator.model.key import Key

Json = dict[str, Any]

CONTROLLER = "skylane.dev/operator"
# The other types move with every rollout and endpoint change.
REPORTED = (
    "Accepted",
    "ResolvedRefs",
    "ResourcesAvailable",
    "BackendsHealthy",
    "SessionSync",
    "Ready",
    "UpToDate",
    "skylane.dev/AddressAssigned",
    "skylane.dev/BackendsHealthy",
)
UNKNOWN = "Unknown"
# What is not true yet, and nothing is wrong.
_UNDER_WAY = {"Upgrading", "Joining"}
# Where Kubernetes itself puts the events of objects without a namespace.
DEFAULT_NAMESPACE = "default"
_MAX_NOTE = 1000  # characters; the API allows 1024 bytes

_log = logging.getLogger(__name__)


class Subject(Protocol):
    """An object whose status we write, with the status that it had when last read."""

    @property
    def key(self) -> Key:
        """Identity of the object."""

    @property
    def uid(self) -> str:
        """Of this object, not of a later one of the same name."""

    @property
    def status(self) -> Json:
        """What we wrote earlier, as the API server gave it back."""


def turned(before: Json, after: Json) -> list[Json]:
    """Conditions of `after` that a user wants to hear of, compared to the status before."""
    known = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [
        condition
        for condition in after.get("conditions", ())
        if condition["type"] in REPORTED and _has_turned(known.get(condition["type"]), condition)
    ]


def _has_turned(before: Json | None, after: Json) -> bool:
    if before is None or before["status"] == UNKNOWN:
        # As of a new object: what is wrong from the start, nothing that is as it should be.
        return bool(after["status"] == "False" and after["type"] != "Ready")
    if after["status"] == UNKNOWN:
        return False
    return bool((before["status"], before["reason"]) != (after["status"], after["reason"]))


class EventWriter:
    """Posts them. A lost event is not worth a retry: the condition says the same."""

    def __init__(self, client: KubeClient, instance: str) -> None:
        self._client, self._instance = client, instance

    async def report(self, resource: Resource, subject: Subject, status: Json) -> None:
        """One event for each condition that turned."""
        for condition in turned(subject.status, status):
            try:
                await self._client.request(
                    "POST",
                    EVENT.collection_path(subject.key.namespace or DEFAULT_NAMESPACE),
                    body=self._event(resource, subject, condition),
                )
            except ApiError as error:
                _log.warning("event %s for %s: %s", condition["reason"], subject.key, error)

    def _event(self, resource: Resource, subject: Subject, condition: Json) -> Json:
        namespace = {"namespace": subject.key.namespace} if resource.namespaced else {}
        return {
            "apiVersion": EVENT.group_version,
            "kind": EVENT.kind,
            "metadata": {
                "generateName": f"{subject.key.name}-",
                "namespace": subject.key.namespace or DEFAULT_NAMESPACE,
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": condition["reason"],
            "type": "Normal"
            if condition["status"] == "True" or condition["reason"] in _UNDER_WAY
            else "Warning",
            "note": f"{condition['type']}: {condition['message']}"[:_MAX_NOTE],
            "regarding": {
                "apiVersion": resource.group_version,
                "kind": resource.kind,
                "name": subject.key.name,
                "uid": subject.uid,
                **namespace,
            },
        }
