"""Pods that declare our readiness gate, and the Services whose endpoints they are, though they are not Ready."""

from collections.abc import Iterator

from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Pod, Service
from skylane_operator.plan.in_service import declares_gate, is_ready_but_for_us


class GatedPods:
    """Told of every change of a pod.

    By address, `all` has those with the gate, `endpoints` those that only we keep from being Ready. Several may have one: pods of
    the host's network, say. One that is finished keeps the address in its status that somebody else has by now; it is none of
    them, nor is one on its way out. Not `enabled`, it knows of none.
    """

    def __init__(self, services: Store[Service], *, enabled: bool) -> None:
        self._services, self._enabled = services, enabled
        self.all: dict[str, set[Key]] = {}
        self.endpoints: dict[str, set[Key]] = {}

    def pods(self) -> set[Key]:
        """All that wait for us, or did."""
        return {key for keys in self.all.values() for key in keys}

    def concern(self, old: Pod | None, new: Pod | None) -> bool:
        """Whether a change is one of a pod with the gate."""
        return self._enabled and any(one is not None and declares_gate(one) for one in (old, new))

    def changed(self, old: Pod | None, new: Pod | None) -> Iterator[Key]:
        """Take a change of such a pod in; the Services that have other endpoints now."""
        before = self._remove(old) if old is not None else frozenset()
        after = self._add(new) if new is not None else frozenset()
        if before != after:
            for pod in (old, new):
                if pod is not None:
                    yield from self._selecting(pod)
                    return

    def _remove(self, pod: Pod) -> frozenset[str]:
        for address in pod.status.pod_ips:
            _discard(self.all, address, pod.key)
        return frozenset(one for one in pod.status.pod_ips if _discard(self.endpoints, one, pod.key))

    def _add(self, pod: Pod) -> frozenset[str]:
        if not declares_gate(pod) or pod.is_finished or pod.metadata.deletion_timestamp is not None:
            return frozenset()
        for address in pod.status.pod_ips:
            self.all.setdefault(address, set()).add(pod.key)
        if not is_ready_but_for_us(pod):
            return frozenset()
        for address in pod.status.pod_ips:
            self.endpoints.setdefault(address, set()).add(pod.key)
        return frozenset(pod.status.pod_ips)

    def _selecting(self, pod: Pod) -> Iterator[Key]:
        for service in self._services.by("namespace", pod.metadata.namespace):
            selector = service.spec.selector
            if selector and selector.items() <= pod.metadata.labels.items():
                yield service.key


def _discard(pods: dict[str, set[Key]], address: str, key: Key) -> bool:
    """Whether it was there."""
    keys = pods.get(address, set())
    if key not in keys:
        return False
    keys.discard(key)
    if not keys:
        del pods[address]
    return True
