"""Slow start, look by look."""

import pytest

from skylane_operator.plan.endpoints import Endpoints, Resolved
from skylane_operator.plan.slow_start import started


def endpoints(numbers):
    return frozenset((f"10.0.0.{number}", 80) for number in numbers)


class Listener:
    """`looks(now_s, ready)`: of those that are starting, how many tenths of their share they have."""

    def __init__(self, *numbers, seconds=60):
        self.seconds, self.memory, self.next_s = seconds, None, None
        assert self.looks(0, numbers) == {}

    def looks(self, now_s, ready):
        outcome = started(
            [Resolved("web:80", 1, Endpoints(endpoints(ready)))], self.seconds, self.memory, now_s
        )
        self.memory, starting = outcome.memory, outcome.starting
        self.next_s = starting.next_s if starting is not None else None
        steps = starting.steps if starting is not None else {}
        return {int(address.rpartition(".")[2]): step for (address, _), step in steps.items()}


def test_the_share_grows_from_a_tenth_to_the_whole():
    listener = Listener(1)
    found = [listener.looks(100 + second, [1, 2]) for second in range(0, 61, 6)]
    assert found == [{2: step} for step in (1, 1, 2, 3, 4, 5, 6, 7, 8, 9)] + [{}]
    assert listener.next_s is None


def test_a_look_is_due_at_the_next_step_and_looks_in_between_change_nothing():
    listener = Listener(1)
    assert (listener.looks(100, [1, 2]), listener.next_s) == ({2: 1}, 6)
    assert (listener.looks(104, [1, 2]), listener.next_s) == ({2: 1}, 2)
    assert (listener.looks(112, [1, 2]), listener.next_s) == ({2: 2}, 6)


def test_those_that_come_later_step_at_the_same_moments():
    listener = Listener(1)
    listener.looks(100, [1, 2])
    assert (listener.looks(115, [1, 2, 3]), listener.next_s) == ({2: 2, 3: 1}, 3)
    assert (listener.looks(118, [1, 2, 3]), listener.next_s) == ({2: 3, 3: 1}, 6)
    assert listener.looks(160, [1, 2, 3]) == {3: 8}
    assert listener.looks(172, [1, 2, 3]) == {}


def test_what_is_there_at_the_first_look_is_not_new():
    assert Listener(1, 2, 3).memory.came == {}


def test_what_goes_and_comes_back_begins_anew():
    listener = Listener(1)
    listener.looks(100, [1, 2])
    listener.looks(150, [1])
    assert listener.looks(151, [1, 2]) == {2: 1}
    listener.looks(300, [2])
    assert listener.looks(301, [1, 2]) == {1: 1}


def test_a_late_look_makes_up_for_it():
    listener = Listener(1)
    listener.looks(100, [1, 2])
    assert listener.looks(1000, [1, 2, 3]) == {3: 1}
    assert listener.looks(1100, [1, 2, 3]) == {}


@pytest.mark.parametrize("now_s", [-1000.0, 0.0, 1e6 + 0.3])
def test_the_zero_of_the_clock_means_nothing(now_s):
    listener = Listener(1, seconds=10)
    listener.looks(now_s, [1, 2])
    assert listener.looks(now_s + 5.5, [1, 2]) == {2: 5}


def test_without_a_slow_start_nothing_is_remembered():
    listener = Listener(1, seconds=None)
    assert listener.looks(1, [1, 2]) == {}
    assert listener.memory is None
