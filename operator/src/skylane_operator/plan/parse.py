"""Objects of the API to our kinds, or to what is wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from skylane_operator.model.bgp_peer import BGPPeer
from skylane_operator.model.key import Key
from skylane_operator.model.load_balancer import LoadBalancer
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.virtual_ip_pool import VirtualIPPool
from skylane_operator.plan.types import Blocks, InvalidPeer, Reason, Rejected


def load_balancer_from(body: Mapping[str, Any]) -> LoadBalancer | tuple[Rejected, ...]:
    """Parse an object of the API.

    The CRD refuses almost everything that this refuses; objects stored before the CRD was tightened are the rest.
    """
    try:
        return LoadBalancer.model_validate(body)
    except ValidationError as error:
        metadata = body["metadata"]
        key = Key(metadata.get("namespace", ""), metadata["name"])
        return tuple(
            Rejected(
                key=key,
                field=field_path(detail["loc"]),
                reason=Reason.INVALID,
                message=f"LoadBalancer {key}: {field_path(detail['loc'])}: {detail['msg']}",
                blocks=Blocks.BASE,
            )
            for detail in error.errors(include_url=False)
        )


@dataclass(frozen=True, slots=True)
class InvalidPool:
    """A VirtualIPPool that cannot be used, and why. What was assigned from it stays."""

    metadata: ObjectMeta
    message: str


def pool_from(body: Mapping[str, Any]) -> VirtualIPPool | InvalidPool:
    """Parse a VirtualIPPool of the API."""
    try:
        return VirtualIPPool.model_validate(body)
    except ValidationError as error:
        return InvalidPool(ObjectMeta.model_validate(body["metadata"]), _faults(error))


def bgp_peer_from(body: Mapping[str, Any]) -> BGPPeer | InvalidPeer:
    """Parse a BGPPeer of the API."""
    try:
        return BGPPeer.model_validate(body)
    except ValidationError as error:
        return InvalidPeer(_faults(error))


def _faults(error: ValidationError) -> str:
    return "; ".join(f"{field_path(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False))


def field_path(location: tuple[int | str, ...]) -> str:
    """`("spec", "listeners", 1, "vip")` to `spec.listeners[1].vip`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")
