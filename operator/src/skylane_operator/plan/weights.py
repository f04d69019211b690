"""Weights of endpoints from the weights of their Services."""

from collections.abc import Hashable, Mapping, Sequence
from math import gcd, lcm
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

MAX_WEIGHT = 65535


def endpoint_weights(shares: Sequence[tuple[int, int]]) -> list[int]:
    """Weight of each endpoint of each Service, as small integers.

    `shares` holds (weight of the Service, number of its ready endpoints). A Service's weight is its share of the
    listener's new flows however many endpoints it has, so an endpoint's weight is proportional to weight / endpoints.
    Exact while the integers stay within MAX_WEIGHT; beyond it they are scaled down, and a weight above zero stays
    above zero. Services without endpoints get 0 and do not count.
    """
    common = lcm(*(count for _, count in shares if count > 0))
    exact = [weight * common // count if count > 0 else 0 for weight, count in shares]
    return list(scaled(dict(enumerate(exact))).values())


def scaled(weights: Mapping[K, int]) -> dict[K, int]:
    """The same shares in the smallest integers; what exceeds MAX_WEIGHT is scaled down, and above zero stays above zero."""
    divisor = gcd(*weights.values()) or 1
    reduced = {one: weight // divisor for one, weight in weights.items()}
    largest = max(reduced.values(), default=0)
    if largest <= MAX_WEIGHT:
        return reduced
    return {
        one: max(1, round(weight * MAX_WEIGHT / largest)) if weight else 0 for one, weight in reduced.items()
    }
