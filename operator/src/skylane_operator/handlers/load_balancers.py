"""Kopf, for our own resource only: every event of a LoadBalancer marks its key. Nothing is written to the object."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import kopf

from skylane_operator.errors import WatchEndedError
from skylane_operator.model.key import Key
from skylane_operator.model.load_balancer import API_VERSION, PLURAL

GROUP, _, VERSION = API_VERSION.partition("/")

_Registry = kopf.OperatorRegistry


def registry_for(changed: Callable[[Key], object], login: Callable[[], kopf.ConnectionInfo]) -> _Registry:
    """The handlers. `login` gives the connection whenever Kopf asks for one, at the start and after a 401."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def connection(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - Kopf's calling convention
        return login()

    @kopf.on.startup(registry=registry)
    def configured(settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401
        settings.posting.enabled = False  # events are the reconciler's to post
        settings.scanning.disabled = True  # one kind, known beforehand: no watch of CRDs and namespaces
        settings.queueing.idle_timeout = 5.0

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    def happened(namespace: str | None, name: str, **_: Any) -> None:  # noqa: ANN401
        changed(Key(namespace or "", name))

    return registry


async def watch_load_balancers(registry: _Registry, namespaces: tuple[str, ...]) -> None:
    """Run Kopf until cancelled, in a thread with an event loop of its own: the handlers are called there.

    At its end Kopf cancels every task of its loop that is younger than itself, ours would be among them. The thread may go on
    for a moment after we have returned.
    """
    flag = threading.Event()

    def run() -> None:
        operator = kopf.operator(
            registry=registry,
            # Given, because Kopf would look up the user's name, and the user of the pod has none.
            identity="skylane-operator",  # type: ignore[arg-type]
            standalone=True,  # no peering: it freezes equals; leadership is a Lease's business
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=flag,
        )
        asyncio.run(operator)

    try:
        await asyncio.to_thread(run)
    finally:
        flag.set()
    raise WatchEndedError("Kopf has ended by itself; without it no change of a LoadBalancer is seen")
