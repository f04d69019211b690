"""Fields of a listener that the owner of a Service or Gateway sets, by annotations for the most part."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import ValidationError

from skylane_operator.model.address import IPV4, IPV6
from skylane_operator.model.load_balancer import BackendReference, Listener
from skylane_operator.plan.health_annotations import annotated_health_check
from skylane_operator.plan.service_types import ServiceReason

# Annotation to the field of a listener, the values as the LoadBalancer resource has them.
LISTENER_ANNOTATIONS = {
    "skylane.dev/scheduler": ("scheduler",),
    "skylane.dev/hash-on": ("hash_on",),
    "skylane.dev/on-backend-removal": ("on_backend_removal",),
    "skylane.dev/terminating-endpoints": ("terminating_endpoints",),
    "skylane.dev/slow-start-seconds": ("slow_start_seconds",),
    "skylane.dev/mass-removal-guard-max-share-percent": ("mass_removal_guard", "max_share_percent"),
    "skylane.dev/mass-removal-guard-confirm-seconds": ("mass_removal_guard", "confirm_seconds"),
    "skylane.dev/client-address": ("client_address",),
    "skylane.dev/max-connections": ("max_connections",),
    "skylane.dev/client-max-connections": ("client_limits", "max_connections"),
    "skylane.dev/client-new-connections-per-second": ("client_limits", "new_connections_per_second"),
}
# Addresses that no client has, by IP version. Ranges of the other one alone let nobody in.
NOBODY = {IPV4: "255.255.255.255/32", IPV6: "::/128"}
_PROBED = {IPV4: "192.0.2.1", IPV6: "2001:db8::1"}

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
                settings = {**settings, "allowed_source_ranges": tuple(NOBODY.values())}
        else:
            settings = wider
    check, wrong = annotated_health_check(annotations)
    if check is not None:
        settings = {**settings, "health_check": check}
    faults += [ListenerFault(ServiceReason.INVALID_ANNOTATION, message) for message in wrong]
    return settings, faults


def settings_of_version(settings: Settings, version: int) -> Settings:
    """What the listener of one IP version has of them: its own source ranges; allowed ones of the other alone close it."""
    kept: Settings = {
        field: tuple(text for text in settings[field] if (":" in text) == (version == IPV6))
        for field in ("allowed_source_ranges", "denied_source_ranges")
        if field in settings
    }
    if "allowed_source_ranges" in kept and not kept["allowed_source_ranges"]:
        kept["allowed_source_ranges"] = (NOBODY[version],)
    return {**settings, **kept}


def _with(settings: Settings, path: tuple[str, ...], value: object) -> Settings:
    first, *rest = path
    inner = _with(settings.get(first, {}), tuple(rest), value) if rest else value
    return {**settings, first: inner}


def _probe(settings: Settings) -> None:
    listener = {"name": "a", "port": 1, "backends": (BackendReference(service="a", port=1),)}
    for version, vip in _PROBED.items():
        own = settings_of_version(settings, version)
        Listener.model_validate({**listener, "vip": vip, **own})
