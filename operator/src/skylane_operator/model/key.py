"""Identity of a namespaced object."""

from typing import NamedTuple


class Key(NamedTuple):
    """Namespace and name of an object; the kind is clear from where the key is used."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
