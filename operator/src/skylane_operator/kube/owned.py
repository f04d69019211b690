"""What we made for a LoadBalancer, as the API server holds it."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import StatefulSet
from skylane_operator.plan.names import LOAD_BALANCER_LABEL

Json = dict[str, Any]

LABEL_SELECTOR = "app.kubernetes.io/managed-by=skylane-operator"
# Metadata that changes without anybody having changed what we applied.
_BOOKKEEPING = {"managedFields", "resourceVersion", "generation"}


@dataclass(frozen=True, slots=True)
class Owned:
    """One object. `fingerprint` changes when anything but its status does.

    `stateful_set` is given for that kind, `dns_names` are those of a DNSEndpoint.
    """

    load_balancer: Key
    owner_uid: str
    uid: str
    fingerprint: str
    stateful_set: StatefulSet | None = None
    dns_names: frozenset[str] = frozenset()


def owned_from(body: Json) -> Owned:
    """From an object of the API. Raises ValueError (pydantic) for a StatefulSet that cannot be read."""
    metadata = body["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences", ()) if owner.get("controller")]
    name = metadata.get("labels", {}).get(LOAD_BALANCER_LABEL, "")
    spec = body.get("spec")
    spec = spec if isinstance(spec, dict) else {}  # a CRD may have no schema
    return Owned(
        load_balancer=Key(metadata["namespace"], name),
        owner_uid=owners[0] if owners else "",
        uid=metadata["uid"],
        fingerprint=fingerprint_of(body),
        stateful_set=StatefulSet.model_validate(body) if "serviceName" in spec else None,
        dns_names=_dns_names(spec.get("endpoints")),
    )


def _dns_names(endpoints: object) -> frozenset[str]:
    listed = endpoints if isinstance(endpoints, list) else []
    names = [one.get("dnsName") for one in listed if isinstance(one, dict)]
    return frozenset(name for name in names if isinstance(name, str))


def fingerprint_of(body: Json) -> str:
    """Digest of everything but status and bookkeeping.

    Lists of a kind leave out `kind` and `apiVersion` of their items, so these do not count either.
    """
    kept = {name: value for name, value in body.items() if name not in {"status", "kind", "apiVersion"}}
    kept["metadata"] = {k: v for k, v in body["metadata"].items() if k not in _BOOKKEEPING}
    return digest(kept)


def digest(body: Json) -> str:
    """Digest of the canonical JSON."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
