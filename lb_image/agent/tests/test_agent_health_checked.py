import json

import pytest
from agent_backends import check_message
from agent_cases import listener

from skylane_agent.config_files import listener_file
from skylane_agent.health.check import Endpoint
from skylane_agent.health.checked import checked_from, checked_in

GENERATION = "a" * 16
FIRST, SECOND, THIRD, FOURTH = (Endpoint(f"10.244.0.{last}", 8080) for last in range(1, 5))


def checked(*sick, weights=(1, 2, 3, 4), draining=(), panic=0, **check):
    message = listener("web", GENERATION, backends=len(weights))
    message.health_check.CopyFrom(check_message(panic=panic, **check))
    for backend, weight in zip(message.backends, weights, strict=True):
        backend.weight = weight
        backend.draining = Endpoint(backend.address, backend.port) in draining
    return checked_in(message, listener_file(message), dict.fromkeys(sick, "refused"))


def weights_of(one):
    return [backend["weight"] for backend in one.file()["backends"]]


def test_sick_backends_lose_their_weight_and_nothing_else_changes():
    file = checked(SECOND).file()
    assert [backend["weight"] for backend in file["backends"]] == [1, 0, 3, 4]
    healthy = checked().file()
    assert [backend["weight"] for backend in healthy["backends"]] == [1, 2, 3, 4]
    same = {field: value for field, value in file.items() if field not in {"generation", "backends"}}
    assert same == {field: healthy[field] for field in same}


def test_each_set_of_weights_has_a_generation_of_its_own_that_begins_with_the_operators():
    sets = [(), (FIRST,), (SECOND,), (FIRST, SECOND)]
    generations = [checked(*sick).file()["generation"] for sick in sets]
    assert len(set(generations)) == len(sets)
    assert {generation[:17] for generation in generations} == {f"{GENERATION}-"}
    assert {len(generation) for generation in generations} == {33}
    assert checked(SECOND, FIRST).file() == checked(FIRST, SECOND).file()


@pytest.mark.parametrize(
    ("sick", "percent", "panic"),
    [
        ((), 0, False),
        ((), 100, False),
        ((FIRST, SECOND, THIRD), 0, False),
        ((FIRST, SECOND, THIRD, FOURTH), 0, True),
        ((FIRST,), 74, False),
        ((FIRST,), 75, True),
        ((FIRST, SECOND), 50, True),
        ((FIRST, SECOND), 49, False),
    ],
)
def test_panic_is_when_the_healthy_share_is_at_or_below_the_threshold(sick, percent, panic):
    one = checked(*sick, panic=percent)
    assert one.panic is panic
    if panic:
        assert weights_of(one) == [1, 2, 3, 4]
        assert one.file() == checked(panic=percent).file()


def test_backends_without_weight_do_not_keep_the_others_from_a_panic():
    one = checked(THIRD, FOURTH, weights=(0, 0, 3, 4))
    assert one.panic
    assert not checked(FIRST, weights=(0, 0, 3, 4)).panic
    assert not checked(FIRST, SECOND, weights=(0, 0)).panic


def test_a_record_is_read_as_it_was_written():
    one = checked(SECOND, kind="udp", udp={"payload": "cGluZw==", "expect": ""}, panic=25)
    assert checked_from(json.loads(json.dumps(one.record()))) == one


def test_what_drains_is_no_business_of_the_check():
    one = checked(FIRST, SECOND, weights=(0, 2, 3, 4), draining={FIRST})
    assert one.endpoints == [SECOND, THIRD, FOURTH]
    assert one.sick == {SECOND: "refused"}
    assert one.with_sick({FIRST: "refused"}).sick == {}
    assert checked_from(json.loads(json.dumps(one.record()))) == one
    assert weights_of(one) == [0, 0, 3, 4]


def test_a_record_of_an_older_agent_has_nothing_that_drains():
    record = checked(SECOND).record()
    del record["draining"]
    assert checked_from(record) == checked(SECOND)


@pytest.mark.parametrize("field", ["listener", "check", "sick"])
def test_a_record_of_another_form_is_refused(field):
    record = checked().record() | {field: "?"}
    with pytest.raises(ValueError, match=field):
        checked_from(record)


def test_a_backend_that_is_gone_is_not_sick_when_it_comes_back():
    assert checked(SECOND).with_sick({Endpoint("10.9.9.9", 1): "refused"}).sick == {}


def test_another_port_is_probed_where_the_check_says_so():
    one = checked(port=9000)
    assert one.target(FIRST).endpoint == Endpoint("10.244.0.1", 9000)
    assert one.file()["backends"][0]["port"] == 8080


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "quic"},
        {"interval_ms": 0},
        {"http": {"path": "/ HTTP/1.1\r\nX: y", "host": "", "expected_statuses": ["200"]}},
        {"http": {"path": "/", "host": "", "expected_statuses": ["399-200"]}},
        {"http": {"path": "/", "host": "", "expected_statuses": []}},
        {"udp": {"payload": "???"}},
    ],
)
def test_a_check_that_this_agent_does_not_know_is_refused(changes):
    with pytest.raises(ValueError, match="validation error"):
        checked(**changes)
