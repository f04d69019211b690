"""Whom the watches tell."""

from typing import Protocol

from skylane_operator.model.key import Key, ObjectKey


class Changes(Protocol):
    """Who is told what changed. Each says whom it may concern, not what to do about it."""

    def service(self, key: Key) -> None:
        """A Service or its endpoints."""

    def nodes(self) -> None:
        """What nodes there are, or what they offer."""

    def usage(self) -> None:
        """What pods of others take of the nodes."""

    def own(self, key: Key) -> None:
        """Something that we made for the LoadBalancer, or one of its pods."""

    def attachment(self, key: Key) -> None:
        """A NetworkAttachmentDefinition."""

    def bgp_peer(self, key: Key) -> None:
        """A BGPPeer, or its password."""

    def object(self, one: ObjectKey) -> None:
        """A Service of type LoadBalancer or an object of the Gateway API that concerns us, or its endpoints."""

    def addresses(self) -> None:
        """What the addresses of Services and Gateways depend on."""

    def offered(self, load_balancer: Key) -> None:
        """A LoadBalancer's terms for those, its own addresses, or whether it exists."""
