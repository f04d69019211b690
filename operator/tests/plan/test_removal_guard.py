"""The mass-removal guard, look by look."""

import pytest

from skylane_operator.model.listener_policy import MassRemovalGuard
from skylane_operator.plan.endpoints import Endpoints, Resolved
from skylane_operator.plan.removal_guard import guarded

HALF = MassRemovalGuard(max_share_percent=50, confirm_seconds=30)


def endpoints(*numbers):
    return frozenset((f"10.0.0.{number}", 80) for number in numbers)


def numbers(found):
    return {int(address.rpartition(".")[2]) for address, _ in found}


class Listener:
    """`looks(now_s, blue=..., green=...)`: the ready endpoints of its Services then, and what they are once guarded."""

    def __init__(self, guard=HALF):
        self.guard, self.memory, self.weights, self.draining = guard, None, {}, {}
        self.held = None

    def looks(self, now_s, **ready):
        resolved = [
            Resolved(
                name,
                self.weights.get(name, 1),
                Endpoints(endpoints(*found), endpoints(*self.draining.get(name, ()))),
            )
            for name, found in ready.items()
        ]
        outcome = guarded(resolved, self.guard, self.memory, now_s)
        self.memory, self.held, self.resolved = outcome.memory, outcome.held, outcome.resolved
        given = {one.reference: numbers(one.endpoints.ready) for one in outcome.resolved}
        return given if len(given) > 1 else next(iter(given.values()))


ALL = set(range(10))


@pytest.fixture
def listener():
    listener = Listener()
    assert listener.looks(0, web=ALL) == ALL
    return listener


def test_a_loss_of_no_more_than_the_share_is_followed_at_once(listener):
    assert listener.looks(1, web=range(5)) == set(range(5))
    assert listener.held is None


def test_a_larger_loss_is_held_until_it_has_lasted(listener):
    assert listener.looks(100, web={0, 1, 2, 3}) == ALL
    held = listener.held
    assert (held.count, held.lost, held.total, held.remaining_s) == (6, 6, 10, 30)
    assert listener.looks(129, web={0, 1, 2, 3}) == ALL
    assert listener.held.remaining_s == 1
    assert listener.looks(130, web={0, 1, 2, 3}) == {0, 1, 2, 3}
    assert listener.held is None


def test_the_clock_is_not_read_before_it_is_needed():
    """A clock may begin below zero, or anywhere."""
    listener = Listener()
    listener.looks(-1000, web=ALL)
    assert listener.looks(-500, web=set()) == ALL
    assert listener.looks(-471, web=set()) == ALL
    assert listener.looks(-470, web=set()) == set()


def test_all_of_it_is_held_too(listener):
    assert listener.looks(1, web=set()) == ALL
    assert listener.looks(31, web=set()) == set()


def test_what_comes_back_ends_the_hold_and_the_next_one_lasts_as_long(listener):
    assert listener.looks(1, web={0}) == ALL
    assert listener.looks(20, web=range(5)) == set(range(5))
    assert listener.held is None
    assert listener.looks(21, web=ALL) == ALL
    assert listener.looks(40, web={0}) == ALL
    assert listener.looks(60, web={0}) == ALL
    assert listener.looks(70, web={0}) == {0}


def test_a_loss_that_grows_while_it_is_held_does_not_begin_the_wait_anew(listener):
    listener.looks(1, web={0, 1})
    assert listener.looks(30, web={0}) == ALL
    assert listener.looks(31, web={0}) == {0}


def test_small_steps_that_follow_each_other_are_one_loss(listener):
    """Slice after slice, some milliseconds apart."""
    assert listener.looks(1.0, web=range(8)) == set(range(8))
    assert listener.looks(1.1, web=range(5)) == set(range(5))
    assert listener.looks(1.2, web=range(2)) == set(range(5))
    assert (listener.held.count, listener.held.lost, listener.held.total) == (3, 8, 10)
    assert listener.looks(1.3, web=set()) == set(range(5))
    assert listener.looks(31.2, web=set()) == set()


def test_steps_that_are_far_apart_are_not(listener):
    assert listener.looks(1, web=range(6)) == set(range(6))
    assert listener.looks(31, web=range(4)) == set(range(4))
    assert listener.looks(62, web=range(2)) == set(range(2))
    assert listener.looks(63, web=set()) == {0, 1}, "a large step after small ones"


def test_additions_are_never_held(listener):
    assert listener.looks(1, web={0, 20}) == ALL | {20}
    assert listener.looks(2, web={0, 20, 21}) == ALL | {20, 21}


def test_an_addition_that_goes_again_is_none_of_the_old_set(listener):
    listener.looks(1, web={0, 20})
    assert listener.looks(2, web={0}) == ALL


def test_where_others_come_instead_nothing_is_lost(listener):
    """A rolling update, and a Service whose selector points to the other colour."""
    for step in range(10):
        wanted = set(range(step + 1, 10)) | set(range(20, 21 + step))
        assert listener.looks(1 + step, web=wanted) == wanted
    assert listener.looks(12, web=ALL) == ALL


def test_fewer_others_are_a_loss(listener):
    assert listener.looks(1, web={20, 21, 22}) == ALL | {20, 21, 22}


def test_the_first_look_holds_nothing():
    listener = Listener()
    assert listener.looks(0, web=set()) == set()
    assert listener.looks(1, web=ALL) == ALL
    assert listener.looks(2, web=set()) == ALL


def test_without_a_guard_nothing_is_held_or_remembered():
    listener = Listener(guard=None)
    listener.looks(0, web=ALL)
    assert listener.looks(1, web=set()) == set()
    assert listener.memory is None


def test_those_that_terminate_are_held_with_their_weight():
    listener = Listener()
    listener.looks(0, web={0, 1, 2})
    listener.draining = {"web": [1, 2]}
    assert listener.looks(1, web={0}) == {0, 1, 2}
    assert listener.resolved[0].endpoints.draining == frozenset()
    assert listener.looks(31, web={0}) == {0}
    assert numbers(listener.resolved[0].endpoints.draining) == {1, 2}


def test_the_share_is_that_of_all_services_of_the_listener():
    listener = Listener()
    listener.looks(0, blue={0, 1, 2, 3}, green={10, 11, 12, 13, 14, 15})
    assert listener.looks(1, blue=set(), green=range(10, 16)) == {"blue": set(), "green": set(range(10, 16))}
    assert listener.looks(2, blue=set(), green={10}) == {"blue": set(), "green": set(range(10, 16))}


def test_what_the_spec_takes_away_is_not_held():
    listener = Listener()
    listener.looks(0, blue=ALL, green={20})
    assert listener.looks(1, green={20}) == {20}
    listener.looks(2, blue=ALL, green={20})
    listener.weights = {"blue": 0}
    assert listener.looks(3, blue=set(), green={20}) == {"blue": set(), "green": {20}}


def test_a_service_that_gets_a_weight_is_measured_by_what_it_has_then():
    listener = Listener()
    listener.weights = {"blue": 0}
    listener.looks(0, blue=ALL, green={20})
    listener.looks(1, blue={0}, green={20})
    listener.weights = {"blue": 1}
    assert listener.looks(2, blue={0}, green={20}) == {"blue": {0}, "green": {20}}
    assert listener.held is None


@pytest.mark.parametrize(
    ("percent", "left", "held"), [(1, 9, True), (99, 0, True), (99, 1, False), (10, 9, False)]
)
def test_the_share_is_what_may_be_lost(percent, left, held):
    listener = Listener(MassRemovalGuard(max_share_percent=percent))
    listener.looks(0, web=ALL)
    listener.looks(1, web=range(left))
    assert (listener.held is not None) is held
