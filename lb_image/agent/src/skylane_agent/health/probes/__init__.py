"""One probe of one backend, by type of check."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping

from skylane_agent.errors import ProbeFailedError, ProbeNotMadeError
from skylane_agent.health.check import CheckType, Target
from skylane_agent.health.probes.health_v1 import probe_grpc
from skylane_agent.health.probes.http import probe_http
from skylane_agent.health.probes.icmp import probe_icmp
from skylane_agent.health.probes.tcp import probe_tcp
from skylane_agent.health.probes.udp import probe_udp
from skylane_agent.health.verdict import PASSED, Outcome

# Each returns when the backend has answered as it should, and raises ProbeFailedError, ProbeNotMadeError or OSError.
_PROBES: Mapping[CheckType, Callable[[Target], Awaitable[None]]] = {
    "tcp": probe_tcp,
    "http": probe_http,
    "https": probe_http,
    "grpc": probe_grpc,
    "udp": probe_udp,
    "icmp": probe_icmp,
}

# Nothing of these is the backend's doing: no sockets, no memory, no local ports, no network at all.
_OUR_OWN = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EADDRNOTAVAIL,
    errno.EAGAIN,
    errno.ENETDOWN,
    errno.ENETUNREACH,
}


# Of the timeout. When it is noticed later than that, the answer may have lain here unread: an agent that gets no CPU must
# not take it out on the backends.
_LATE_SHARE = 0.1


async def outcome_of(target: Target) -> Outcome:
    """Probe a backend once, within the check's timeout."""
    timeout_s = target.check.timeout_ms / 1000
    clock = asyncio.get_running_loop().time
    started_s = clock()
    try:
        async with asyncio.timeout(timeout_s):
            await _PROBES[target.check.type](target)
    except TimeoutError:
        if clock() - started_s > timeout_s * (1 + _LATE_SHARE):
            return Outcome("not_made", "the agent gets too little CPU to read answers in time")
        return Outcome("failed", f"no answer within {target.check.timeout_ms} ms")
    except ProbeFailedError as error:
        return Outcome("failed", str(error))
    except ProbeNotMadeError as error:
        return Outcome("not_made", str(error))
    except OSError as error:
        # asyncio puts the address into the text of its own; the status shows it anyway.
        text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return Outcome("not_made" if error.errno in _OUR_OWN else "failed", text)
    return PASSED
