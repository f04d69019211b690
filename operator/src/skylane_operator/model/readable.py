"""A status as far as it can be read: what of its lists is not as it should be is left out.

The schema of a CRD says what a status holds, but an object may have been stored before it did, or by a CRD of another version.
Read strictly, one such object would be everybody's trouble: statuses are looked at wherever all objects are.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

Json = dict[str, Any]


def readable_status(given: object) -> Json:
    """The same, without the entries of its lists that cannot be read. What is no object at all is an empty one."""
    if not isinstance(given, dict):
        return {}
    status = dict(given)
    for name, texts in _LISTS.items():
        if name in status:
            status[name] = _kept(status[name], texts)
    if "conditions" in status:
        status["conditions"] = readable_conditions(status["conditions"])
    if "listeners" in status:
        status["listeners"] = [_with_conditions(one) for one in status["listeners"]]
    return status


def readable_conditions(given: object) -> list[Json]:
    """Those that say of what and how it is; without their times where these are none (null, say)."""
    return [
        one if _is_time(one.get("lastTransitionTime")) else _without_time(one)
        for one in _kept(given, ("type", "status"))
    ]


def _without_time(condition: Json) -> Json:
    return {name: value for name, value in condition.items() if name != "lastTransitionTime"}


def _with_conditions(entry: Json) -> Json:
    if "conditions" not in entry:
        return entry
    return {**entry, "conditions": readable_conditions(entry["conditions"])}


def _kept(entries: object, texts: Iterable[str]) -> list[Json]:
    if not isinstance(entries, list):
        return []
    return [one for one in entries if isinstance(one, dict) and _are_texts(one, texts)]


def _is_time(given: object) -> bool:
    try:
        return isinstance(given, str) and datetime.fromisoformat(given) is not None
    except ValueError:
        return False


def _are_texts(entry: Json, names: Iterable[str]) -> bool:
    return all(isinstance(entry.get(name), str) for name in names)


# The fields of a list's entries that have to be there; others' entries keep what else they have.
_LISTS = {"listeners": ("name",), "addresses": ("value",), "parents": ("controllerName",)}

Status = Annotated[Json, BeforeValidator(readable_status), Field(default_factory=dict)]
