"""What a listener asks of connections and endpoints: parts of spec.listeners[] of the `LoadBalancer`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from skylane_operator.model.address import SourceRange
from skylane_operator.model.base import SpecModel

Limit = Annotated[int, Field(ge=1, le=2147483647)]
# More of them would pass the API server's budget for the rule of a list's entries.
SourceRanges = Annotated[tuple[SourceRange, ...], Field(max_length=960)]
TimeoutSeconds = Annotated[int, Field(ge=1, le=86400)]


class TerminatingEndpoints(StrEnum):
    """What becomes of an endpoint that terminates but still serves."""

    DRAIN = "Drain"
    REMOVE = "Remove"


class MassRemovalGuard(SpecModel):
    """spec.listeners[].massRemovalGuard: what a listener may lose at once."""

    max_share_percent: Annotated[int, Field(ge=1, le=99)] = 50
    confirm_seconds: Annotated[int, Field(ge=1, le=3600)] = 30


class AffinityType(StrEnum):
    """What keeps a client with its backend."""

    NONE = "None"
    CLIENT_IP = "ClientIP"


class ClientAddress(StrEnum):
    """spec.listeners[].clientAddress: how backends are told the address of a client."""

    NONE = "None"
    TOA = "TOA"
    PROXY_V2 = "ProxyV2"


class SessionAffinity(SpecModel):
    """spec.listeners[].sessionAffinity: whether connections of one client go to one backend."""

    type: AffinityType = AffinityType.NONE
    timeout_seconds: TimeoutSeconds = 10800

    @property
    def effective_seconds(self) -> int:
        """How long a client stays with its backend; 0 if it does not."""
        return self.timeout_seconds if self.type is AffinityType.CLIENT_IP else 0


class ClientLimits(SpecModel):
    """spec.listeners[].clientLimits: what one client's address may have and do."""

    max_connections: Limit | None = None
    new_connections_per_second: Annotated[int, Field(ge=1, le=1000000)] | None = None
