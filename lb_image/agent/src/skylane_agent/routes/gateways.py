"""Whether packets get out and back: the forwarder asks its gateways, over the links that clients' packets come by.

While they do not answer, the VIPs of that IP version are withheld: a router that goes on sending to a pod whose link is dead loses
what it sends, and a session over another network would never tell it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from skylane_agent.errors import ForwarderError
from skylane_agent.forwarder import ForwarderClient, Gateway
from skylane_agent.routes.vips import Vips

SILENT_S = 1.0  # that a gateway may be: five requests
_POLL_S = 0.1
_IP_VERSIONS = (4, 6)


class GatewayWatch:
    """`known` is set once the gateways have answered, or had the time to: until then what is announced is left as it is.

    `wanted` says whether there is anybody to announce to; without, no gateway is asked.
    """

    def __init__(self, forwarder: ForwarderClient, vips: Vips, wanted: Callable[[], bool]) -> None:
        self._forwarder, self._vips, self._wanted = forwarder, vips, wanted
        # By IP version: when the gateway that is silent the longest last answered.
        self._answered_s: dict[int, float] = {}
        self.known = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        began_s = time.monotonic()
        while True:
            if self._wanted():
                await self._look(began_s)
            else:
                self._vips.block({})
                self.known.set()
            await asyncio.sleep(_POLL_S)

    async def _look(self, began_s: float) -> None:
        gateways: list[Gateway] = []
        try:
            gateways = await self._forwarder.read_gateways()
        except ForwarderError:
            self.known.set()  # nothing is announced without it
        now_s = time.monotonic()
        blocked = self._judge(gateways, now_s)
        if not blocked or now_s - began_s > SILENT_S:
            self.known.set()
        if self.known.is_set():
            self._vips.block(blocked)

    def _judge(self, gateways: Iterable[Gateway], now_s: float) -> dict[int, str]:
        """Why VIPs are withheld, by IP version. Without news (the forwarder starts again) what was heard last still counts."""
        blocked: dict[int, str] = {}
        for version in _IP_VERSIONS:
            of_version = [one for one in gateways if ip_address(one.address).version == version]
            silences_ms = [one.silent_ms for one in of_version]
            if silences_ms and None not in silences_ms:
                self._answered_s[version] = now_s - max(ms for ms in silences_ms if ms is not None) / 1000
            elif gateways and not of_version:
                self._answered_s[version] = now_s
            if now_s - self._answered_s.get(version, 0.0) > SILENT_S:
                blocked[version] = _reason(of_version)
        return blocked


def _reason(gateways: Iterable[Gateway]) -> str:
    silent = [one for one in gateways if one.silent_ms is None or one.silent_ms > SILENT_S * 1000]
    named = ", ".join(f"{one.address} of network {one.port}" for one in silent)
    return f"no answer from gateway {named}" if named else "no gateway has answered yet"
