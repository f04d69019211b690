"""The listeners that an owner, a Service or a Gateway, adds to the pods of a LoadBalancer."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skylane_operator.model.address import IPV4, IPAddress
from skylane_operator.model.forwarder import ForwarderListener
from skylane_operator.model.key import SERVICE, Key, ObjectKey
from skylane_operator.model.load_balancer import BackendReference, Listener, Protocol
from skylane_operator.plan.listeners import forwarder_listener
from skylane_operator.plan.types import ListenerPlan

_DIGEST_DIGITS = 8
_NAME_MAX = 48  # with the port, the digest and two dashes: 63


@dataclass(frozen=True, slots=True)
class OwnedPlan:
    """What the pods of the LoadBalancer shall run for one owner."""

    owner: ObjectKey
    load_balancer: Key
    listeners: tuple[ListenerPlan, ...]

    @property
    def answering(self) -> tuple[ForwarderListener, ...]:
        """The files of the pod that answers ARP for the addresses."""
        return tuple(forwarder_listener(plan, arp=True) for plan in self.listeners)

    @property
    def silent(self) -> tuple[ForwarderListener, ...]:
        """The files of the other pods."""
        return tuple(forwarder_listener(plan, arp=False) for plan in self.listeners)


def owned_listener(
    owner: ObjectKey, address: IPAddress, port: int, protocol: str, settings: Mapping[str, Any]
) -> Listener:
    """A listener as if a LoadBalancer's spec had it. What it refers to as its backends is never looked up."""
    reference = BackendReference(service="a", port=port)
    if protocol != Protocol.TCP:
        # Said once for all ports of the owner, of which it can only mean those of TCP.
        settings = {field: value for field, value in settings.items() if field != "client_address"}
    return Listener.model_validate(
        {
            "name": listener_name(owner, port, protocol, address.version),
            "vip": address,
            "port": port,
            "protocol": protocol,
            "backends": (reference,),
            **settings,
        }
    )


def listener_name(owner: ObjectKey, port: int, protocol: str, version: int = IPV4) -> str:
    """Readable, and unlike that of any other port of any owner: a digest of all parts is its end."""
    kind = f"{owner.kind}/" if owner.kind != SERVICE else ""
    family = f"/IPv{version}" if version != IPV4 else ""
    whole = f"{kind}{owner.key.namespace}/{owner.key.name}/{port}/{protocol}{family}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{owner.key.name.replace('.', '-')[:_NAME_MAX].rstrip('-')}-{port}-{digest}"
