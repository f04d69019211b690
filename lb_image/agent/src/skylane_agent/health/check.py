"""A health check as the operator asks for it."""

import base64
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

from skylane_api.forwarder.v1 import forwarder_pb2 as pb

CheckType = Literal["tcp", "http", "https", "grpc", "udp", "icmp"]


# Nothing that would end a line of the request's head.
HeadText = Annotated[str, StringConstraints(pattern=r"^[!-~]*$")]


def _is_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


Base64 = Annotated[str, AfterValidator(_is_base64)]


def _is_range(text: str) -> str:
    first, last = status_range(text)
    if not 100 <= first <= last <= 599:
        raise ValueError("must be a status or a range of them, as 200-399")
    return text


def status_range(text: str) -> tuple[int, int]:
    """First and last of `204` or `200-399`. Raises ValueError."""
    first, mark, last = text.partition("-")
    return int(first), int(last if mark else first)


class _Part(BaseModel):
    # Hashable, since a backend's probe is shared by the listeners that check it alike.
    model_config = ConfigDict(frozen=True, extra="ignore")


class HttpPart(_Part):
    """A GET request, and the statuses that are a success. An empty host: the backend's address and port."""

    path: HeadText
    host: HeadText
    expected_statuses: Annotated[tuple[Annotated[str, AfterValidator(_is_range)], ...], Field(min_length=1)]

    def expects(self, status: int) -> bool:
        """Whether the status is a success."""
        return any(first <= status <= last for first, last in map(status_range, self.expected_statuses))


class TlsPart(_Part):
    """How a certificate is verified."""

    server_name: str
    ca_bundle: str
    insecure_skip_verify: bool


class GrpcPart(_Part):
    """Whose health is asked for; empty: that of the server."""

    service: str


class UdpPart(_Part):
    """What is sent and what must be in an answer, both in base64; empty: no answer is needed."""

    payload: Base64
    expect: Base64


class Check(_Part):
    """What is asked of a backend, how often, and how many outcomes in a row count. `port` 0: the backend's own."""

    type: CheckType
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    interval_ms: PositiveInt
    timeout_ms: PositiveInt
    healthy_threshold: PositiveInt
    unhealthy_threshold: PositiveInt
    http: HttpPart = HttpPart(path="/", host="", expected_statuses=("200-399",))
    tls: TlsPart | None = None
    grpc: GrpcPart = GrpcPart(service="")
    udp: UdpPart = UdpPart(payload="", expect="")


class Endpoint(NamedTuple):
    """A backend of a listener."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Target(NamedTuple):
    """What is probed: several backends, of one listener or of several, may have one in common."""

    endpoint: Endpoint
    check: Check


def check_in(message: pb.HealthCheck) -> Check:
    """Read the check of a message. Raises ValueError (of Pydantic) for one that this agent does not know."""
    parts = {
        part: _fields(getattr(message, part))
        for part in ("http", "tls", "grpc", "udp")
        if message.HasField(part)
    }
    return Check.model_validate({field: getattr(message, field) for field in _SCALARS} | parts)


_SCALARS = ("type", "port", "interval_ms", "timeout_ms", "healthy_threshold", "unhealthy_threshold")


def _fields(part: pb.HTTPCheck | pb.TLSCheck | pb.GRPCCheck | pb.UDPCheck) -> dict[str, object]:
    return {field.name: getattr(part, field.name) for field in part.DESCRIPTOR.fields}
