"""Whether packets get out and back: the forwarder asks its gateways, over the links that clients' packets come by.

While they do not answer, the VIPs of that IP version are withheld: a router that goes on sending to a pod whose link is dead loses
what it sends, and a session over another network would never tell it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from skylane_agent.errors import ForwarderError, ForwarderTimeoutError
from skylane_agent.forwarder import ForwarderClient, Gateway
from skylane_agent.routes.vips import Vips

SILENT_S = 1.0  # that a gateway may be: five requests
_POLL_S = 0.1
_IP_VERSIONS = (4, 6)
_NOT_YET = "no gateway has answered yet"
_NOBODY_ANSWERED = dict.fromkeys(_IP_VERSIONS, _NOT_YET)


class GatewayWatch:
    """`known` is set once the gateways have answered, or had the time to: until then what is announced is left as it is.

    `wanted` says whether there is anybody to announce to; without, no gateway is asked. `forwarding` says whether the forwarder
    runs, or is about to again.
    """

    def __init__(
        self,
        forwarder: ForwarderClient,
        vips: Vips,
        wanted: Callable[[], bool],
        forwarding: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._forwarder, self._vips = forwarder, vips
        self._wanted, self._forwarding, self._clock = wanted, forwarding, clock
        self._asked_since_s: float | None = None  # None: nobody is being asked
        self._told_s = 0.0  # the forwarder's last reply
        # By IP version: when the gateway that is silent the longest last answered.
        self._answered_s: dict[int, float] = {}
        self.known = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_POLL_S)

    async def look(self) -> None:
        """Ask once, and withhold or give back what follows from it."""
        if not self._wanted():
            self._asked_since_s = None
            self._vips.block({})
            self.known.set()
            return
        try:
            gateways = await self._forwarder.read_gateways()
        except ForwarderTimeoutError:
            return  # no news: it is busy, and so may the gateways' answers be
        except ForwarderError:
            self._asked_since_s = None
            if not self._forwarding():
                # Nothing is announced now; of the next one we shall want to know first.
                self._answered_s.clear()
                self._vips.block(_NOBODY_ANSWERED)
                self.known.set()
            return
        now_s = self._clock()
        if self._asked_since_s is None or now_s - self._told_s > SILENT_S:
            # Nobody asked them meanwhile: they have their time to answer from here on.
            self._asked_since_s = now_s
        self._told_s = now_s
        blocked = self._judge(gateways, now_s)
        if not blocked or now_s - self._asked_since_s > SILENT_S:
            self.known.set()
            self._vips.block(blocked)

    def _judge(self, gateways: Iterable[Gateway], now_s: float) -> dict[int, str]:
        """Why VIPs are withheld, by IP version. Without news (the forwarder starts again) what was heard last still counts.

        VIPs live on the first network; the gateway of another one counts from its first answer on, for it may be nobody's.
        """
        blocked: dict[int, str] = {}
        for version in _IP_VERSIONS:
            of_version = [one for one in gateways if ip_address(one.address).version == version]
            judged = [one for one in of_version if one.network == 0 or one.silent_ms is not None]
            silences_ms = [one.silent_ms for one in judged]
            if not judged:
                continue
            if None not in silences_ms:
                self._answered_s[version] = now_s - max(ms for ms in silences_ms if ms is not None) / 1000
            if now_s - self._answered_s.get(version, -SILENT_S) > SILENT_S:
                blocked[version] = _reason(judged)
        return blocked


def _reason(gateways: Iterable[Gateway]) -> str:
    silent = [one for one in gateways if one.silent_ms is None or one.silent_ms > SILENT_S * 1000]
    named = ", ".join(f"{one.address} of network {one.port}" for one in silent)
    return f"no answer from gateway {named}" if named else _NOT_YET
