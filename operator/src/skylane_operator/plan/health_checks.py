"""Health checks as the agents take them: every default filled in."""

from skylane_operator.model.forwarder import (
    AgentGrpcCheck,
    AgentHealthCheck,
    AgentHttpCheck,
    AgentTlsCheck,
    AgentUdpCheck,
)
from skylane_operator.model.health_check import (
    GrpcCheck,
    HealthCheck,
    HealthCheckType,
    HttpCheck,
    TlsCheck,
    UdpCheck,
)


def agent_health_check(check: HealthCheck | None) -> AgentHealthCheck | None:
    """The check of a listener, with the part that belongs to its type."""
    if check is None:
        return None
    kind = check.type
    over_http = kind in {HealthCheckType.HTTP, HealthCheckType.HTTPS}
    return AgentHealthCheck.model_validate(
        {
            "type": kind.lower(),
            "port": check.port or 0,
            "interval_ms": 1000 * check.interval_seconds,
            "timeout_ms": 1000 * check.timeout_seconds,
            "healthy_threshold": check.healthy_threshold,
            "unhealthy_threshold": check.unhealthy_threshold,
            "panic_threshold_percent": check.panic_threshold_percent,
            "http": _http(check.http or HttpCheck()) if over_http else None,
            "tls": _tls(check.tls) if check.tls else None,
            "grpc": _grpc(check.grpc or GrpcCheck()) if kind is HealthCheckType.GRPC else None,
            "udp": _udp(check.udp or UdpCheck()) if kind is HealthCheckType.UDP else None,
        }
    )


def _http(part: HttpCheck) -> AgentHttpCheck:
    return AgentHttpCheck(path=part.path, host=part.host or "", expected_statuses=part.expected_statuses)


def _tls(part: TlsCheck) -> AgentTlsCheck:
    return AgentTlsCheck(
        server_name=part.server_name or "",
        ca_bundle=part.ca_bundle or "",
        insecure_skip_verify=part.insecure_skip_verify,
    )


def _grpc(part: GrpcCheck) -> AgentGrpcCheck:
    return AgentGrpcCheck(service=part.service)


def _udp(part: UdpCheck) -> AgentUdpCheck:
    return AgentUdpCheck(payload=part.payload, expect=part.expect)
