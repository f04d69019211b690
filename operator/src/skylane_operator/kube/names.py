"""Names of VIPs as an object of external-dns, which may not be installed: nothing else of a LoadBalancer waits for it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from skylane_operator.errors import ApiError
from skylane_operator.kube.apply import Applier, delete
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.owned import Owned
from skylane_operator.kube.resource import DNS_ENDPOINT
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key
from skylane_operator.plan import Plan
from skylane_operator.plan.dns import Names, names_for
from skylane_operator.plan.names import workload_name
from skylane_operator.plan.observed import Observed
from skylane_operator.render import dns_endpoint

# For the kind to be installed, or to be taken, until it is tried again.
AGAIN_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """`names` is None when no listener has one. `fault`: why they could not be written, empty if they were."""

    names: Names | None = None
    fault: str = ""


class NamePublisher:
    """Writes them. `installed` tells whether the API server knows the kind, as far as has been seen."""

    def __init__(
        self, client: KubeClient, applier: Applier, store: Store[Owned], installed: Callable[[], bool]
    ) -> None:
        self._client, self._applier, self._store, self._installed = client, applier, store, installed

    async def publish(self, plan: Plan, uid: str, observed: Observed) -> Published:
        """Have the names of the LoadBalancer `uid` be what they should. Whatever the API server says, nothing is raised."""
        key = Key(plan.key.namespace, workload_name(plan.key.name))
        live = self._store.get(key)
        ours = live if live is not None and live.owner_uid == uid else None
        names = None
        if any(item.listener.hostname for item in plan.listeners):
            names = names_for(plan, observed, published=ours.dns_names if ours is not None else ())
            if not self._installed():
                return Published(
                    names,
                    "the API server does not know DNSEndpoint of externaldns.k8s.io/v1alpha1; install external-dns with its CRD, "
                    "or leave out spec.listeners[].hostname",
                )
        try:
            if names is not None and names.records:
                await self._applier.apply([dns_endpoint(plan, names.records)])
            elif names is None and ours is not None:
                await delete(self._client, DNS_ENDPOINT, key, ours.uid)
        except ApiError as error:
            _log.warning("%s %s: %s", DNS_ENDPOINT.kind, key, error)
            return Published(names, f"DNSEndpoint {key} could not be written: {error}")
        return Published(names)
