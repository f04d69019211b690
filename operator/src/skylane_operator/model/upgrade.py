"""status.upgrade: how far the replacement of pods has come. Also what the operator itself knows of it after a restart."""

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, ValidationError

from skylane_operator.model.base import SpecModel


class UpgradeStep(StrEnum):
    """What is waited for."""

    WAITING = "Waiting"  # other pods do not serve, or a successor has no room; none is replaced meanwhile
    REPLACING = "Replacing"  # a pod ends
    STARTING = "Starting"  # its successor does not serve yet
    STALLED = "Stalled"  # its successor has not served in time; the others stay as they are
    ROLLED_BACK = "RolledBack"  # the same, and it goes back to the template of the others


class UpgradeStatus(SpecModel):
    """Absent when every pod is what the spec and the operator's version ask for.

    `since`: when the pod's turn came. `template` is the digest of the pod template that was wanted; `revision` (of the
    StatefulSet) is what pods went back to from it.
    """

    step: UpgradeStep
    pod: str
    since: AwareDatetime
    message: str
    template: str
    revision: str | None = None

    @classmethod
    def read(cls, body: object) -> Self | None:
        """From a status; None also for one that another version wrote in another way."""
        try:
            return None if body is None else cls.model_validate(body)
        except ValidationError:
            return None
