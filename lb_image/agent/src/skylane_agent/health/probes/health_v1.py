"""gRPC: grpc.health.v1 says SERVING. Without TLS, as the kubelet asks."""

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from skylane_agent.errors import ProbeFailedError
from skylane_agent.health.check import Target

_DETAILS_MAX = 80

# Every probe connects anew, directly: what another one met, or a proxy of the environment, says nothing of the backend.
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)


_STATUS_NAMES = {number: name for name, number in health_pb2.HealthCheckResponse.ServingStatus.items()}


async def probe_grpc(target: Target) -> None:
    """Raises ProbeFailedError."""
    scheme = "ipv6" if ":" in target.endpoint.address else "ipv4"
    request = health_pb2.HealthCheckRequest(service=target.check.grpc.service)
    async with grpc.aio.insecure_channel(f"{scheme}:{target.endpoint}", options=_OPTIONS) as channel:
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(request)
        except grpc.aio.AioRpcError as error:
            raise ProbeFailedError(_reason(error)) from error
    if reply.status != health_pb2.HealthCheckResponse.SERVING:
        raise ProbeFailedError(f"gRPC: {_STATUS_NAMES.get(reply.status, reply.status)}")


def _reason(error: grpc.aio.AioRpcError) -> str:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return "gRPC: the server does not have grpc.health.v1"
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return "gRPC: UNAVAILABLE"  # its details tell of addresses and attempts
    return f"gRPC: {error.code().name} {(error.details() or '')[:_DETAILS_MAX]}".rstrip()
