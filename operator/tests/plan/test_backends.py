import pytest
from operator_support import endpoint_slice

from skylane_operator.model.kubernetes import EndpointSlice, ServicePort
from skylane_operator.model.listener_policy import TerminatingEndpoints
from skylane_operator.plan.backends import weighted_backends
from skylane_operator.plan.endpoints import Endpoints, Resolved, endpoints_of

PORT = ServicePort.model_validate({"name": "p80", "port": 80, "protocol": "TCP"})
DRAIN, REMOVE = TerminatingEndpoints


def piece(*addresses, **conditions):
    body = endpoint_slice("default", "web", *addresses)
    for endpoint in body["endpoints"]:
        endpoint["conditions"] = conditions
    return EndpointSlice.model_validate(body)


def test_address_that_is_none_is_left_out_and_the_others_stay():
    assert endpoints_of([piece("010.0.0.5", "10.0.0.6")], PORT).ready == {("10.0.0.6", 8080)}
    terminating = piece("010.0.0.5", "10.0.0.6", ready=False, terminating=True)
    assert endpoints_of([terminating], PORT).draining == {("10.0.0.6", 8080)}


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({}, "ready"),
        ({"ready": None, "serving": None, "terminating": None}, "ready"),
        ({"ready": True, "serving": True, "terminating": False}, "ready"),
        # publishNotReadyAddresses: ready is true whatever else is
        ({"ready": True, "serving": False, "terminating": False}, "ready"),
        ({"ready": True, "serving": True, "terminating": True}, "ready"),
        ({"ready": False, "serving": True, "terminating": True}, "draining"),
        ({"ready": False, "serving": None, "terminating": True}, "draining"),
        ({"ready": False, "serving": False, "terminating": True}, ""),
        ({"ready": False, "serving": True, "terminating": False}, ""),
        ({"ready": False, "serving": False, "terminating": False}, ""),
        ({"ready": False}, ""),
    ],
)
def test_conditions_of_an_endpoint(conditions, found):
    endpoints = endpoints_of([piece("10.0.0.5", **conditions)], PORT)
    address = {("10.0.0.5", 8080)}
    assert (endpoints.ready, endpoints.draining) == (
        address if found == "ready" else set(),
        address if found == "draining" else set(),
    )


def test_one_that_is_ready_in_one_slice_and_terminates_in_another_is_ready():
    slices = [piece("10.0.0.5", ready=False, terminating=True), piece("10.0.0.5", ready=True)]
    assert endpoints_of(slices, PORT) == Endpoints(frozenset({("10.0.0.5", 8080)}))


def addresses(*numbers):
    return frozenset((f"10.0.0.{number}", 80) for number in numbers)


def service(weight=1, ready=(), draining=(), limit=None):
    return Resolved("web:80", weight, Endpoints(addresses(*ready), addresses(*draining)), limit)


def weights(*services, policy=DRAIN, steps=None):
    """By the last part of the address: weight, and d for one that drains; and whether the last resort is taken."""
    found = weighted_backends(list(services), policy, steps or {})
    return {
        int(one.address.rpartition(".")[2]): f"{one.weight}{'d' if one.draining else ''}"
        for one in found.backends
    }, found.last_resort


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([service(ready=[1, 2], draining=[3])], {1: "1", 2: "1", 3: "0d"}),
        # the Service's share is that of the endpoints that take new connections
        ([service(3, [1, 2], [3, 4]), service(1, [5])], {1: "3", 2: "3", 3: "0d", 4: "0d", 5: "2"}),
        # others are there: who terminates gets nothing
        ([service(3, [], [1]), service(1, [2])], {1: "0d", 2: "1"}),
        # one that another Service calls ready is that
        ([service(1, [1], [2]), service(1, [2])], {1: "1", 2: "1"}),
        ([service(0, [1], [2]), service(1, [3])], {1: "0", 2: "0d", 3: "1"}),
    ],
)
def test_who_terminates_gets_no_new_connections(services, expected):
    assert weights(*services) == (expected, False)


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([service(draining=[1, 2])], {1: "1", 2: "1"}),
        ([service(3, [], [1]), service(1, [], [2])], {1: "3", 2: "1"}),
        # whoever was given no weight gets none now
        ([service(1, [], [1]), service(0, [2], [3])], {1: "1", 2: "0", 3: "0d"}),
    ],
)
def test_the_last_resort_is_who_terminates_but_still_serves(services, expected):
    assert weights(*services) == (expected, True)


def test_no_endpoint_at_all_is_no_last_resort():
    assert weights(service()) == ({}, False)
    assert weights(service(0, [1], [2])) == ({1: "0", 2: "0d"}, False)


def test_remove_takes_them_away_also_the_last_one():
    assert weights(service(ready=[1], draining=[2]), policy=REMOVE) == ({1: "1"}, False)
    assert weights(service(draining=[2]), policy=REMOVE) == ({}, False)


def test_a_limit_holds_while_an_endpoint_drains():
    found = weighted_backends([service(ready=[1], draining=[2], limit=7)], DRAIN, {})
    assert [one.max_connections for one in found.backends] == [7, 7]


def steps(**by_number):
    return {
        address: step for name, step in by_number.items() for address in addresses(name.removeprefix("n"))
    }


@pytest.mark.parametrize(
    ("services", "starting", "expected"),
    [
        ([service(ready=[1, 2])], steps(n2=1), {1: "10", 2: "1"}),
        ([service(ready=[1, 2])], steps(n2=5), {1: "2", 2: "1"}),
        # all alike are as if none was new
        ([service(ready=[1, 2])], steps(n1=3, n2=3), {1: "1", 2: "1"}),
        ([service(3, [1]), service(1, [2])], steps(n1=5), {1: "3", 2: "2"}),
        ([service(ready=[1, 2], draining=[3])], steps(n2=1), {1: "10", 2: "1", 3: "0d"}),
        ([service(65535, [1]), service(1, [2])], steps(n2=1), {1: "65535", 2: "1"}),
        ([service(0, [1]), service(1, [2])], steps(n1=1), {1: "0", 2: "1"}),
    ],
)
def test_who_is_starting_has_its_share_of_its_weight(services, starting, expected):
    assert weights(*services, steps=starting) == (expected, False)
