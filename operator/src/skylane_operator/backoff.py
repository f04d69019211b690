"""Waiting times between attempts: they double, up to a limit, each spread at random so that many do not retry at once."""

import random
from collections.abc import Iterator

FIRST_S = 0.2
LONGEST_S = 30.0
_GROWTH = 2.0
_SPREAD = 0.3  # of the waiting time, to either side


def delays(first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> Iterator[float]:
    """Seconds to wait before the second, third, … attempt; never ends."""
    delay = first_s
    while True:
        yield delay * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - jitter, not a secret
        delay = min(delay * _GROWTH, longest_s)
