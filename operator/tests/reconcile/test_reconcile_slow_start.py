"""Slow start, from an EndpointSlice of a real API server to the weights in a pod's file."""

import pytest
from operator_support import endpoint_slice, eventually
from services_world import SLICES, listeners_on_disk, serving

pytestmark = pytest.mark.apiserver


async def test_the_weight_of_a_new_endpoint_grows_until_all_are_equal(world):
    await serving(world, "10.244.0.5", annotations={"skylane.dev/slow-start-seconds": "10"})
    shares = []

    def all_equal():
        for one in listeners_on_disk(world):
            weights = [backend["weight"] for backend in one["backends"]]
            if len(weights) == 2 and (not shares or shares[-1] != weights[1] / weights[0]):
                shares.append(weights[1] / weights[0])
        return shares and shares[-1] == 1

    wanted = endpoint_slice(world.namespace, "web", "10.244.0.5", "10.244.0.6")["endpoints"]
    world.change(*SLICES, "web-1", lambda body: body.update(endpoints=wanted))
    await eventually(all_equal, "equal weights", 30)
    # A busy machine may skip a step, and never goes back.
    assert shares[0] < 0.5
    assert shares == sorted(shares)
    assert len(shares) > 3
    await world.until_service_condition("Programmed", "True")
