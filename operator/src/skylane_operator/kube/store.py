"""What the API server holds, as far as we were told: objects by key, with indexes."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from skylane_operator.model.key import Key

T = TypeVar("T")
Indexer = Callable[[T], Iterable[Hashable]]


class Store(Generic[T]):
    """Objects by key. `by(index, value)` costs what it returns, however many objects there are."""

    def __init__(self, indexers: Mapping[str, Indexer[T]] | None = None) -> None:
        self._objects: dict[Key, T] = {}
        self._indexers = dict(indexers or {})
        self._indexes: dict[str, dict[Hashable, dict[Key, None]]] = {name: {} for name in self._indexers}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._objects)

    def get(self, key: Key) -> T | None:
        """The object, if there is one."""
        return self._objects.get(key)

    def values(self) -> Iterable[T]:
        """All objects, in no order."""
        return self._objects.values()

    def by(self, index: str, value: Hashable) -> tuple[T, ...]:
        """The objects that the indexer put under the value, in the order of their keys."""
        return tuple(self._objects[key] for key in self.keys_by(index, value))

    def keys_by(self, index: str, value: Hashable) -> list[Key]:
        """Their keys, sorted."""
        return sorted(self._indexes[index].get(value, ()))

    def put(self, key: Key, value: T) -> T | None:
        """Add or replace; returns what was there before."""
        old = self.drop(key)
        self._objects[key] = value
        for name, entry in self._entries(value):
            self._indexes[name].setdefault(entry, {})[key] = None
        return old

    def drop(self, key: Key) -> T | None:
        """Remove, if it is there; returns what was there before."""
        old = self._objects.pop(key, None)
        if old is None:
            return None
        for name, entry in self._entries(old):
            keys = self._indexes[name][entry]
            keys.pop(key, None)
            if not keys:
                del self._indexes[name][entry]
        return old

    def _entries(self, value: T) -> Iterator[tuple[str, Hashable]]:
        for name, indexer in self._indexers.items():
            for entry in set(indexer(value)):
                yield name, entry
