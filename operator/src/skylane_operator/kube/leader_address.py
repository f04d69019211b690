"""Where agents find the leader: the one EndpointSlice of the operator's Service, which has no selector.

Readiness could not tell it: a replica that waits for the Lease is Ready, for it does its job.
"""

import asyncio
import ipaddress
import logging
from dataclasses import dataclass
from typing import Any

from skylane_operator.backoff import delays
from skylane_operator.errors import ApiError
from skylane_operator.kube.apply import FIELD_MANAGER
from skylane_operator.kube.client import APPLY, KubeClient
from skylane_operator.kube.reflector import Reflector
from skylane_operator.kube.resource import ENDPOINT_SLICE, SERVICE
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key

Json = dict[str, Any]

PORT_NAME = "agents"  # as in the Service

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaderAddress:
    """Our own address behind the Service, for as long as we lead."""

    client: KubeClient
    service: Key
    service_uid: str
    address: str
    port: int

    async def write(self) -> None:
        """Have agents come to us from now on. Raises ApiError."""
        await self.client.request(
            "PATCH",
            ENDPOINT_SLICE.path(self.service),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=self._body(),
            content_type=APPLY,
        )

    async def keep(self) -> None:
        """Until cancelled: write it again whenever it is found to differ."""
        changed = asyncio.Event()
        store: Store[Json] = Store()
        reflector = Reflector(
            self.client,
            ENDPOINT_SLICE,
            _essence,
            store,
            lambda *_: changed.set(),
            namespace=self.service.namespace,
            label_selector=f"kubernetes.io/service-name={self.service.name}",
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(reflector.run())
            await reflector.synced.wait()
            while True:
                await self._mend(store)
                await changed.wait()
                changed.clear()

    async def _mend(self, store: Store[Json]) -> None:
        for stranger in sorted(set(store) - {self.service}):
            _log.warning(
                "EndpointSlice %s sends agents elsewhere than to the leader; delete it, and see that Service %s has no selector",
                stranger,
                self.service,
            )
        for delay in delays():
            if store.get(self.service) == _essence(self._body()):
                return
            try:
                await self.write()
            except ApiError as error:
                _log.warning("EndpointSlice %s: %s", self.service, error)
                await asyncio.sleep(delay)
                continue
            return

    def _body(self) -> Json:
        owner = {"apiVersion": "v1", "kind": SERVICE.kind, "name": self.service.name, "uid": self.service_uid}
        return {
            "apiVersion": ENDPOINT_SLICE.group_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": self.service.name,
                "namespace": self.service.namespace,
                "labels": {
                    "kubernetes.io/service-name": self.service.name,
                    "endpointslice.kubernetes.io/managed-by": FIELD_MANAGER,
                },
                "ownerReferences": [owner],
            },
            "addressType": f"IPv{ipaddress.ip_address(self.address).version}",
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
            "ports": [{"name": PORT_NAME, "port": self.port, "protocol": "TCP"}],
        }


def _essence(body: Json) -> Json:
    """What of an EndpointSlice decides where agents arrive."""
    endpoints = [
        {"addresses": one["addresses"], "ready": (one.get("conditions") or {}).get("ready", True)}
        for one in body.get("endpoints") or ()
    ]
    ports = [(one.get("name"), one.get("port"), one.get("protocol")) for one in body.get("ports") or ()]
    return {"addressType": body["addressType"], "endpoints": endpoints, "ports": ports}
