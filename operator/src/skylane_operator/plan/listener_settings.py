"""Fields of a listener that the owner of a Service or Gateway sets, by annotations for the most part."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import ValidationError

from skylane_operator.model.load_balancer import BackendReference, Listener
from skylane_operator.plan.health_annotations import annotated_health_check
from skylane_operator.plan.service_types import ServiceReason

# Annotation to the field of a listener, the values as the LoadBalancer resource has them.
LISTENER_ANNOTATIONS = {
    "skylane.dev/scheduler": ("scheduler",),
    "skylane.dev/hash-on": ("hash_on",),
    "skylane.dev/on-backend-removal": ("on_backend_removal",),
    "skylane.dev/max-connections": ("max_connections",),
    "skylane.dev/client-max-connections": ("client_limits", "max_connections"),
    "skylane.dev/client-new-connections-per-second": ("client_limits", "new_connections_per_second"),
}
# Ranges of the other IP version alone let nobody in: this matches no client.
NOBODY = "255.255.255.255/32"

Settings = dict[str, Any]
# Where it says so, which field of a listener that is, and its value.
Given = tuple[str, tuple[str, ...], object]


@dataclass(frozen=True, slots=True)
class ListenerFault:
    """A port, or a setting of all, of a Service or Gateway that cannot be served as it says."""

    reason: ServiceReason
    message: str


def _annotated(annotations: Mapping[str, str]) -> Iterator[Given]:
    for annotation, path in LISTENER_ANNOTATIONS.items():
        if annotation in annotations:
            yield f"the annotation {annotation}", path, annotations[annotation]


def listener_settings(
    annotations: Mapping[str, str], given: Iterable[Given] = ()
) -> tuple[Settings, list[ListenerFault]]:
    """Fields of the listeners, of what is given and of annotations.

    One that is not valid is named and left out, ranges let nobody in.
    """
    settings: Settings = {}
    faults: list[ListenerFault] = []
    for source, path, value in chain(given, _annotated(annotations)):
        wider = _with(settings, path, value)
        try:
            _probe(wider)
        except ValidationError as error:
            expected = error.errors(include_url=False)[0]["msg"]
            message = f"{source}: {value!r} is not valid ({expected}); correct it"
            faults.append(ListenerFault(ServiceReason.INVALID_ANNOTATION, message))
            if path[0].endswith("source_ranges"):
                # A list that cannot be read must not become an open door.
                settings = {**settings, "allowed_source_ranges": (NOBODY,)}
        else:
            settings = wider
    check, wrong = annotated_health_check(annotations)
    if check is not None:
        settings = {**settings, "health_check": check}
    faults += [ListenerFault(ServiceReason.INVALID_ANNOTATION, message) for message in wrong]
    return settings, faults


def _with(settings: Settings, path: tuple[str, ...], value: object) -> Settings:
    first, *rest = path
    inner = _with(settings.get(first, {}), tuple(rest), value) if rest else value
    return {**settings, first: inner}


def _probe(settings: Settings) -> None:
    reference = BackendReference(service="a", port=1)
    Listener.model_validate(
        {"name": "a", "vip": "192.0.2.1", "port": 1, "backends": (reference,), **settings}
    )
