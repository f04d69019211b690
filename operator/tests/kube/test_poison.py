"""What a custom resource may hold whose CRD is of another version, or has no schema: beside it all others are served."""

import logging

import pytest
from poison_world import PoisonWorld, broken, custom_objects


@pytest.mark.parametrize("body", list(custom_objects()), ids=lambda body: body["kind"])
def test_an_object_that_is_broken_anywhere_disturbs_no_other(body, caplog):
    caplog.set_level(logging.CRITICAL)  # each is told of
    world = PoisonWorld()
    served = world.served()
    for where, wrong in broken(body):
        try:
            world.put(wrong)
            world.look()
        except Exception as error:
            raise AssertionError(f"{where}: {error!r}") from error
        assert world.served() == served, where


def test_the_good_objects_are_served():
    pods, placement, assignments = PoisonWorld().served()
    assert [len(pod.listeners) for pod in pods] == [1]
    assert placement.fits
    assert {str(assigned.address) for assigned in assignments} == {"192.0.2.8", "192.0.2.9"}
