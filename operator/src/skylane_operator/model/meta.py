"""Metadata that every object carries."""

from datetime import datetime

from skylane_operator.model.base import ReadModel
from skylane_operator.model.key import Key


class ObjectMeta(ReadModel):
    """The fields of metadata that we read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return Key(self.namespace, self.name)
