"""For which VIPs the pod may attract packets. Pure.

A VIP is announced while all its listeners run what was acknowledged of them, one of them has a backend to give, nothing holds all
VIPs back, and nothing blocks its IP version. The cost of a change is that of the listeners of its VIP, however many others there
are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

NOT_RUN = "the forwarder does not run its listeners"
NO_BACKEND = "no backend that is healthy and has a weight above 0"


@dataclass(frozen=True, slots=True)
class Serving:
    """One listener: whether the forwarder runs what is on disk, and whether a new connection finds a backend."""

    vip: str
    runs: bool
    usable: bool


class Vips:
    """`withheld` maps those that are not announced to the reason why. `changed` is called when either has changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._listeners: dict[str, Serving] = {}
        self._by_vip: dict[str, dict[str, Serving]] = {}
        self._blocked: dict[int, str] = {}
        self._held = ""
        self.announced: set[str] = set()
        self.withheld: dict[str, str] = {}

    def update(self, changes: Mapping[str, Serving | None]) -> None:
        """Take what listeners are now; None: gone."""
        touched: set[str] = set()
        for name, now in changes.items():
            before = self._listeners.pop(name, None)
            if before is not None:
                del self._by_vip[before.vip][name]
                touched.add(before.vip)
            if now is not None:
                self._listeners[name] = now
                self._by_vip.setdefault(now.vip, {})[name] = now
                touched.add(now.vip)
        verdicts = [self._judge(vip) for vip in touched]
        if any(verdicts):
            self._changed()

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why no VIP of an IP version that there are VIPs of can be announced."""
        versions = {ip_address(vip).version for vip in self._by_vip}
        return tuple(reason for version, reason in sorted(self._blocked.items()) if version in versions)

    def block(self, reasons: Mapping[int, str]) -> None:
        """Withhold the VIPs of these IP versions, for these reasons, and no others for their version."""
        if reasons == self._blocked:
            return
        self._blocked = dict(reasons)
        self._judge_all()

    def hold(self, reason: str) -> None:
        """Withhold all VIPs, for this reason; empty: not any more."""
        if reason != self._held:
            self._held = reason
            self._judge_all()

    def _judge_all(self) -> None:
        verdicts = [self._judge(vip) for vip in list(self._by_vip)]
        if any(verdicts):
            self._changed()

    def stop(self) -> None:
        """Nothing runs any more."""
        self.update(
            {
                name: Serving(one.vip, runs=False, usable=one.usable)
                for name, one in self._listeners.items()
                if one.runs
            }
        )

    def _judge(self, vip: str) -> bool:
        """Whether the verdict about the VIP is another than before."""
        before = (vip in self.announced, self.withheld.get(vip))
        listeners = self._by_vip[vip].values()
        self.announced.discard(vip)
        self.withheld.pop(vip, None)
        if not listeners:
            del self._by_vip[vip]
        elif not all(one.runs for one in listeners):
            self.withheld[vip] = NOT_RUN
        elif not any(one.usable for one in listeners):
            self.withheld[vip] = NO_BACKEND
        elif self._held:
            self.withheld[vip] = self._held
        elif reason := self._blocked.get(ip_address(vip).version):
            self.withheld[vip] = reason
        else:
            self.announced.add(vip)
        return before != (vip in self.announced, self.withheld.get(vip))
