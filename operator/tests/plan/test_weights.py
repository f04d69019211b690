import random
from fractions import Fraction

import pytest

from skylane_operator.plan.weights import MAX_WEIGHT, endpoint_weights


@pytest.mark.parametrize(
    ("shares", "weights"),
    [
        ([], []),
        ([(1, 3)], [1]),
        ([(1, 2), (1, 3)], [3, 2]),
        ([(9, 3), (1, 1)], [3, 1]),
        ([(0, 3), (5, 2)], [0, 1]),
        ([(7, 0), (5, 2)], [0, 1]),
        ([(0, 1)], [0]),
        ([(4, 0)], [0]),
        ([(65535, 1), (1, 1000)], [65535, 1]),
    ],
)
def test_known_cases(shares, weights):
    assert endpoint_weights(shares) == weights


@pytest.mark.parametrize("seed", range(300))
def test_a_service_gets_its_share_however_many_endpoints_it_has(seed):
    """The share of a Service is its weight over the sum of weights; off by rounding only when integers had to shrink."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    largest = chance.choice([5, 100, 65535])
    shares = [(chance.randint(0, largest), chance.randint(0, 12)) for _ in range(chance.randint(1, 16))]
    weights = endpoint_weights(shares)
    assert all(0 <= weight <= MAX_WEIGHT for weight in weights)
    live = [(weight, count) for weight, count in shares if weight and count]
    assert [bool(w) for w in weights] == [bool(weight and count) for weight, count in shares]
    given = sum(weight * count for weight, (_, count) in zip(weights, shares, strict=True))
    for weight, (service_weight, count) in zip(weights, shares, strict=True):
        if service_weight and count:
            wanted = Fraction(service_weight, sum(w for w, _ in live))
            assert abs(Fraction(weight * count, given) - wanted) <= Fraction(len(live) * 12, MAX_WEIGHT)
