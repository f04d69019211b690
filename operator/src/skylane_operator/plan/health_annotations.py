"""The health check of the listeners of a Service or Gateway, as its annotations give it."""

import re
from collections.abc import Mapping
from reprlib import repr as shortened
from typing import Any

from pydantic import ValidationError

from skylane_operator.model.health_check import HealthCheck, HealthCheckType

HEALTH_CHECK = "skylane.dev/health-check"
# Annotation to the field of healthCheck, the names and values as the LoadBalancer resource has them.
_FIELDS: dict[str, tuple[str, ...]] = {
    HEALTH_CHECK: ("type",),
    f"{HEALTH_CHECK}-port": ("port",),
    f"{HEALTH_CHECK}-interval-seconds": ("intervalSeconds",),
    f"{HEALTH_CHECK}-timeout-seconds": ("timeoutSeconds",),
    f"{HEALTH_CHECK}-healthy-threshold": ("healthyThreshold",),
    f"{HEALTH_CHECK}-unhealthy-threshold": ("unhealthyThreshold",),
    f"{HEALTH_CHECK}-panic-threshold-percent": ("panicThresholdPercent",),
    f"{HEALTH_CHECK}-path": ("http", "path"),
    f"{HEALTH_CHECK}-host": ("http", "host"),
    f"{HEALTH_CHECK}-expected-statuses": ("http", "expectedStatuses"),
    f"{HEALTH_CHECK}-server-name": ("tls", "serverName"),
    f"{HEALTH_CHECK}-ca-bundle": ("tls", "caBundle"),
    f"{HEALTH_CHECK}-insecure-skip-verify": ("tls", "insecureSkipVerify"),
    f"{HEALTH_CHECK}-grpc-service": ("grpc", "service"),
    f"{HEALTH_CHECK}-udp-payload": ("udp", "payload"),
    f"{HEALTH_CHECK}-udp-expect": ("udp", "expect"),
}
_ANNOTATIONS = {path: annotation for annotation, path in _FIELDS.items()}
_BY_LAST = {path[-1]: annotation for path, annotation in _ANNOTATIONS.items() if path != ("type",)}
_FIELD_NAMES = re.compile(r"(?:tls\.)?\b(" + "|".join(name for name in _BY_LAST if name != "port") + r")\b")


def annotated_health_check(annotations: Mapping[str, str]) -> tuple[HealthCheck | None, list[str]]:
    """The check, None if there is none, and what is wrong with it.

    Of a check that is not valid nothing is made: half of what somebody asked for could call backends sick that are well.
    """
    given = {name: text for name, text in annotations.items() if name.startswith(HEALTH_CHECK)}
    if not given:
        return None, []
    faults = [_unknown(name) for name in sorted(given) if name not in _FIELDS]
    if HEALTH_CHECK not in given:
        faults.append(
            f"the annotation {HEALTH_CHECK} is missing beside {', '.join(sorted(given))}; add it: {_types()}"
        )
    if faults:
        return None, faults
    try:
        return HealthCheck.model_validate(_body(given)), []
    except ValidationError as error:
        return None, [_fault(one["loc"], one["msg"], given) for one in error.errors(include_url=False)]


def _body(given: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if given[HEALTH_CHECK] == HealthCheckType.HTTPS:
        body["tls"] = {}  # whose absence is then told by the fields that it lacks
    for name, text in given.items():
        *parts, field = _FIELDS[name]
        inner = body.setdefault(parts[0], {}) if parts else body
        inner[field] = tuple(one.strip() for one in text.split(",")) if field == "expectedStatuses" else text
    return body


def _fault(location: tuple[int | str, ...], message: str, given: Mapping[str, str]) -> str:
    path = tuple(str(part) for part in location[:2])
    annotation = _ANNOTATIONS.get(path) or _ANNOTATIONS.get(path[:1])
    if annotation is not None and annotation in given:
        return f"the annotation {annotation}: {shortened(given[annotation])} is not valid ({message}); correct it"
    text = message.removeprefix("Value error, ")
    # What the model says of several fields begins with the one, or the part, that is too much.
    first = text.partition(" ")[0].rstrip(":")
    concerned = [name for name in given if first in _FIELDS[name] or (path and path[0] in _FIELDS[name])]
    told = _FIELD_NAMES.sub(lambda found: _BY_LAST[found[1]], text)
    return f"the annotation {' and '.join(sorted(concerned)) or HEALTH_CHECK}: {told}; correct it"


def _unknown(name: str) -> str:
    ends = ", ".join(known.removeprefix(HEALTH_CHECK) for known in _FIELDS if known != HEALTH_CHECK)
    return (
        f"the annotation {name} is not known; {HEALTH_CHECK} may be followed by {ends}; correct or remove it"
    )


def _types() -> str:
    return ", ".join(HealthCheckType)
