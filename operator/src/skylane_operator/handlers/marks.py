"""Whom a change concerns. Nothing is decided here but whose turn it is."""

from collections.abc import Callable, Iterable
from typing import Protocol

from skylane_operator.model.key import Key


class References(Protocol):
    """Which LoadBalancers refer to what, from an index."""

    def all(self) -> list[Key]:
        """All there are."""

    def using_service(self, service: Key) -> list[Key]:
        """Those that refer to the Service."""

    def using_attachment(self, attachment: Key) -> list[Key]:
        """Those that refer to the NetworkAttachmentDefinition."""

    def unplaced(self) -> list[Key]:
        """Those whose pods did not fit on the nodes when last looked at."""


class Marks:
    """Told by the watches what changed; marks the LoadBalancers that it may concern."""

    def __init__(self, mark: Callable[[Key], None]) -> None:
        self._mark = mark
        self._references: References | None = None

    def bind(self, references: References) -> None:
        """The watches are made with this object, and the index with the watches: it comes second."""
        self._references = references

    def service(self, key: Key) -> None:
        """A Service or its endpoints."""
        self._mark_all(self._references.using_service(key) if self._references else ())

    def attachment(self, key: Key) -> None:
        """A NetworkAttachmentDefinition."""
        self._mark_all(self._references.using_attachment(key) if self._references else ())

    def nodes(self) -> None:
        """What nodes there are, or what they offer."""
        self._mark_all(self._references.all() if self._references else ())

    def usage(self) -> None:
        """What pods take of the nodes: of interest to those that wait for room."""
        self._mark_all(self._references.unplaced() if self._references else ())

    def own(self, key: Key) -> None:
        """Something that we made for the LoadBalancer, or one of its pods."""
        self._mark(key)

    def _mark_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._mark(key)
