import pytest

from skylane_agent.routes.vips import NO_BACKEND, NOT_RUN, Serving, Vips

A, B = "198.51.100.1", "198.51.100.2"


def serving(vip=A, *, runs=True, usable=True):
    return Serving(vip, runs, usable)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def vips(calls):
    return Vips(lambda: calls.append(1))


def test_all_listeners_must_run_and_one_must_have_a_backend(vips):
    vips.update({"web": serving(), "dns": serving(usable=False), "mail": serving(B, usable=False)})
    assert (vips.announced, vips.withheld) == ({A}, {B: NO_BACKEND})
    vips.update({"dns": serving(runs=False)})
    assert (vips.announced, vips.withheld) == (set(), {A: NOT_RUN, B: NO_BACKEND})
    vips.update({"dns": None, "mail": None})
    assert (vips.announced, vips.withheld) == ({A}, {})


def test_a_listener_that_moves_takes_nothing_along(vips):
    vips.update({"web": serving()})
    vips.update({"web": serving(B)})
    assert (vips.announced, vips.withheld) == ({B}, {})


def test_only_another_verdict_is_told(vips, calls):
    vips.update({"web": serving()})
    vips.update({"web": serving(), "dns": serving()})
    vips.update({"gone": None})
    assert len(calls) == 1
    vips.stop()
    vips.stop()
    assert len(calls) == 2
    assert (vips.announced, vips.withheld) == (set(), {A: NOT_RUN})


def test_what_blocks_an_ip_version_withholds_its_vips_alone(vips, calls):
    vips.update({"web": serving(), "six": serving("2001:db8::1"), "mail": serving(B, usable=False)})
    vips.block({4: "why"})
    vips.block({4: "why"})
    assert (vips.announced, vips.withheld) == ({"2001:db8::1"}, {A: "why", B: NO_BACKEND})
    assert len(calls) == 2
    vips.update({"dns": serving(B)})
    assert vips.withheld == {A: "why", B: "why"}
    vips.block({})
    assert (vips.announced, vips.withheld) == ({A, B, "2001:db8::1"}, {})


def test_what_holds_all_back_comes_after_what_a_vip_itself_lacks(vips, calls):
    vips.update({"web": serving(), "six": serving("2001:db8::1"), "mail": serving(B, usable=False)})
    vips.block({4: "gateway"})
    vips.hold("sync")
    vips.hold("sync")
    assert (vips.announced, vips.withheld) == (set(), {A: "sync", "2001:db8::1": "sync", B: NO_BACKEND})
    assert len(calls) == 3
    vips.hold("")
    assert (vips.announced, vips.withheld) == ({"2001:db8::1"}, {A: "gateway", B: NO_BACKEND})
