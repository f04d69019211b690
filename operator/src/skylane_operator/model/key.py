"""Identity of objects."""

from typing import NamedTuple


class Key(NamedTuple):
    """Namespace and name of an object; the kind is clear from where the key is used."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


SERVICE = "Service"
GATEWAY = "Gateway"
GATEWAY_CLASS = "GatewayClass"
TCP_ROUTE, UDP_ROUTE = "TCPRoute", "UDPRoute"


class ObjectKey(NamedTuple):
    """Identity where the kind is not clear. An owner of addresses and listeners is named so: a Service or a Gateway."""

    kind: str
    key: Key

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


def service_owner(service: Key) -> ObjectKey:
    """A Service of type LoadBalancer."""
    return ObjectKey(SERVICE, service)


def gateway_owner(gateway: Key) -> ObjectKey:
    """A Gateway."""
    return ObjectKey(GATEWAY, gateway)
