"""spec.listeners[].healthCheck: how the load balancer itself finds out whether a backend answers."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from skylane_operator.model.base import SpecModel

Threshold = Annotated[int, Field(ge=1, le=100)]
# A status or a range of them, as 204 or 200-399.
StatusRange = Annotated[str, StringConstraints(pattern=r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$", max_length=7)]
# What may stand in the head of a request without a way to write more of it.
RequestPath = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", min_length=1, max_length=1024)]
HostHeader = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]+$", min_length=1, max_length=260)]
ServerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$", min_length=1, max_length=253)]
Certificates = Annotated[
    str, StringConstraints(pattern=r"-----BEGIN CERTIFICATE-----", min_length=1, max_length=32768)
]
GrpcService = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]*$", max_length=253)]
Base64 = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==|[A-Za-z0-9+/]=))?$", max_length=1368
    ),
]


class HealthCheckType(StrEnum):
    """What is asked of a backend."""

    TCP = "TCP"
    HTTP = "HTTP"
    HTTPS = "HTTPS"
    GRPC = "GRPC"
    UDP = "UDP"
    ICMP = "ICMP"


class HttpCheck(SpecModel):
    """healthCheck.http."""

    path: RequestPath = "/"
    host: HostHeader | None = None
    expected_statuses: Annotated[tuple[StatusRange, ...], Field(min_length=1, max_length=16)] = ("200-399",)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for text in self.expected_statuses:
            first, _, last = text.partition("-")
            if last and first > last:
                raise ValueError(f"expectedStatuses: {text} must have its smaller status first")
        return self


class TlsCheck(SpecModel):
    """healthCheck.tls."""

    server_name: ServerName | None = None
    ca_bundle: Certificates | None = None
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _verifies_or_says_that_it_does_not(self) -> Self:
        if self.insecure_skip_verify == (self.ca_bundle is not None):
            raise ValueError("tls must have either caBundle and serverName, or insecureSkipVerify: true")
        if self.ca_bundle is not None and self.server_name is None:
            raise ValueError(
                "tls.serverName must be given with tls.caBundle: certificates bear names, not pod addresses"
            )
        return self


class GrpcCheck(SpecModel):
    """healthCheck.grpc."""

    service: GrpcService = ""


class UdpCheck(SpecModel):
    """healthCheck.udp."""

    payload: Base64 = ""
    expect: Base64 = ""


class HealthCheck(SpecModel):
    """One check; the part that belongs to its type may be left out where every field has a default."""

    type: HealthCheckType
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 1
    healthy_threshold: Threshold = 2
    unhealthy_threshold: Threshold = 3
    panic_threshold_percent: Annotated[int, Field(ge=0, le=100)] = 0
    http: HttpCheck | None = None
    tls: TlsCheck | None = None
    grpc: GrpcCheck | None = None
    udp: UdpCheck | None = None

    @model_validator(mode="after")
    def _parts_belong_to_the_type(self) -> Self:
        allowed = _PARTS[self.type]
        for part in ("http", "tls", "grpc", "udp"):
            if getattr(self, part) is not None and part not in allowed:
                raise ValueError(f"{part} does not belong to a check of type {self.type}")
        if self.type is HealthCheckType.HTTPS and self.tls is None:
            raise ValueError("tls must say how a check of type HTTPS verifies the backend's certificate")
        if self.type is HealthCheckType.ICMP and self.port is not None:
            raise ValueError("port does not belong to a check of type ICMP")
        if self.timeout_seconds > self.interval_seconds:
            raise ValueError("timeoutSeconds must not be larger than intervalSeconds")
        return self


_PARTS: dict[HealthCheckType, tuple[str, ...]] = {
    HealthCheckType.TCP: (),
    HealthCheckType.HTTP: ("http",),
    HealthCheckType.HTTPS: ("http", "tls"),
    HealthCheckType.GRPC: ("grpc",),
    HealthCheckType.UDP: ("udp",),
    HealthCheckType.ICMP: (),
}
