"""Metadata that every object carries."""

from datetime import datetime

from pydantic import Field

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
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return Key(self.namespace, self.name)
