"""Whom a change concerns. Nothing is decided here but whose turn it is."""

from collections.abc import Callable, Iterable
from typing import Protocol

from skylane_operator.model.key import Key, ObjectKey


class References(Protocol):
    """Which LoadBalancers refer to what, from an index."""

    def all(self) -> list[Key]:
        """All there are."""

    def using_service(self, service: Key) -> list[Key]:
        """Those that refer to the Service."""

    def using_attachment(self, attachment: Key) -> list[Key]:
        """Those that refer to the NetworkAttachmentDefinition."""

    def using_bgp_peer(self, peer: Key) -> list[Key]:
        """Those that announce to the BGPPeer."""

    def unplaced(self) -> list[Key]:
        """Those whose pods did not fit on the nodes when last looked at."""


class Askers(Protocol):
    """Which Services and Gateways ask for which LoadBalancer, from an index."""

    def asking_for(self, load_balancer: Key) -> list[ObjectKey]:
        """Those that ask for it."""


class Marks:
    """Told by the watches what changed; marks the LoadBalancers that it may concern."""

    def __init__(
        self,
        mark: Callable[[Key], None],
        mark_object: Callable[[ObjectKey], None],
        mark_addresses: Callable[[], None],
    ) -> None:
        self._mark, self._mark_object, self._mark_addresses = mark, mark_object, mark_addresses
        self._references: References | None = None
        self._askers: Askers | None = None

    def bind(self, references: References, askers: Askers) -> None:
        """The watches are made with this object, and the indexes with the watches: they come second."""
        self._references, self._askers = references, askers

    def service(self, key: Key) -> None:
        """A Service or its endpoints."""
        self._mark_all(self._references.using_service(key) if self._references else ())

    def attachment(self, key: Key) -> None:
        """A NetworkAttachmentDefinition."""
        self._mark_all(self._references.using_attachment(key) if self._references else ())

    def bgp_peer(self, key: Key) -> None:
        """A BGPPeer, or its password."""
        self._mark_all(self._references.using_bgp_peer(key) if self._references else ())

    def nodes(self) -> None:
        """What nodes there are, or what they offer."""
        self._mark_all(self._references.all() if self._references else ())

    def usage(self) -> None:
        """What pods take of the nodes: of interest to those that wait for room."""
        self._mark_all(self._references.unplaced() if self._references else ())

    def object(self, one: ObjectKey) -> None:
        """A Service of type LoadBalancer or an object of the Gateway API that concerns us, or its endpoints."""
        self._mark_object(one)

    def addresses(self) -> None:
        """What the addresses of Services and Gateways depend on."""
        self._mark_addresses()

    def offered(self, load_balancer: Key) -> None:
        """A LoadBalancer's terms for those, its own addresses, or whether it exists."""
        self._mark_addresses()
        for one in self._askers.asking_for(load_balancer) if self._askers else ():
            self._mark_object(one)

    def own(self, key: Key) -> None:
        """Something that we made for the LoadBalancer, or one of its pods."""
        self._mark(key)

    def _mark_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._mark(key)
