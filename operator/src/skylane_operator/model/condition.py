"""Conditions, as every status carries them."""

from datetime import datetime
from typing import Literal

from skylane_operator.model.base import SpecModel


class Condition(SpecModel):
    """A metav1.Condition (KEP-1623)."""

    type: str
    status: Literal["True", "False", "Unknown"]
    observed_generation: int
    last_transition_time: datetime
    reason: str
    message: str
