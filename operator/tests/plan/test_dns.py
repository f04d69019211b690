"""What names resolve to."""

from dataclasses import replace

import pytest
from plan_world import inputs, pod

from skylane_operator.model.forwarder import ForwarderBackend
from skylane_operator.model.kubernetes import StatusCondition
from skylane_operator.model.load_balancer import Advertisement
from skylane_operator.plan import plan_for
from skylane_operator.plan.dns import Record, checks_awaited, names_for
from skylane_operator.plan.observed import (
    AgentAdvertisement,
    AgentHealth,
    AgentListener,
    AgentSession,
    AgentState,
    Observed,
)

ONE, TWO, SIX = "198.51.100.10", "198.51.100.11", "2001:db8::10"
WEB = "web.example.org"
POD = "demo-skylane-0"
UP = (AgentSession("rack-1", established=True, prefixes=2),)


def listener(name, vip, hostname=WEB, port=80):
    backends = [{"service": "echo", "port": 80}]
    return {"name": name, "vip": vip, "port": port, "backends": backends, "hostname": hostname}


def plan(*listeners, advertised=False):
    made = plan_for(inputs(listeners=list(listeners), localAddressesIPv6=["2001:db8:1::1"]))
    backends = (ForwarderBackend(address="10.0.0.1", port=80, weight=1),)
    served = tuple(replace(item, backends=backends) for item in made.listeners)
    if not advertised:
        return replace(made, listeners=served)
    spec = made.load_balancer.spec.model_copy(update={"advertisement": Advertisement(bgp_peers=("rack-1",))})
    return replace(made, listeners=served, load_balancer=made.load_balancer.model_copy(update={"spec": spec}))


def observed(*names, ready=True, health=None, advertisement=None, refused=None):
    one = pod(POD, "node-a", {}, load_balancer="demo")
    condition = StatusCondition(type="Ready", status=str(ready))
    one = one.model_copy(update={"status": one.status.model_copy(update={"conditions": (condition,)})})
    running = {name: AgentListener("g") for name in names}
    if refused:
        running[refused] = AgentListener("", "line 7: no")
    agent = AgentState(True, "b", running, health=health or {}, advertisement=advertisement)  # noqa: FBT003
    return Observed(pods={POD: one}, agents={POD: agent})


def records(*args, published=(WEB, "o.example.org"), **kwargs):
    return names_for(*args, published=published, **kwargs).records


def test_a_name_has_the_vips_of_its_listeners_by_ip_version():
    made = plan(
        listener("b", TWO),
        listener("a", ONE),
        listener("six", SIX),
        listener("other", ONE, "o.example.org", 81),
    )
    assert records(made, observed("a", "b", "six", "other")) == (
        Record("o.example.org", "A", (ONE,)),
        Record(WEB, "A", (ONE, TWO)),
        Record(WEB, "AAAA", (SIX,)),
    )


def test_a_listener_without_a_name_has_none():
    assert names_for(plan(listener("a", ONE, None)), observed("a"), published={WEB}).records == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ready": False}, "no pod is Ready"),
        ({"names": ["a"]}, "not programmed yet"),
        ({"refused": "b"}, "not programmed yet"),
        ({"health": {"b": AgentHealth(unhealthy=1)}}, "no healthy backend"),
    ],
)
def test_a_vip_that_is_not_in_service_is_left_out(changes, why):
    seen = observed(*changes.pop("names", ["a", "b"]), **changes)
    names = names_for(plan(listener("a", ONE), listener("b", TWO)), seen, published={WEB})
    assert f"{TWO}: {why}" in names.out_of_service[WEB]
    if "Ready" not in why:
        assert names.records == (Record(WEB, "A", (ONE,)),)


def test_one_listener_of_a_vip_is_enough():
    made = plan(listener("a", ONE), listener("b", ONE, port=443))
    assert records(made, observed("b")) == (Record(WEB, "A", (ONE,)),)
    assert records(made, observed("a")) == (Record(WEB, "A", (ONE,)),)


def test_a_name_that_is_published_keeps_its_vips_when_none_is_in_service():
    made, seen = plan(listener("a", ONE), listener("six", SIX)), observed("a", "six", ready=False)
    assert records(made, seen) == (
        Record(WEB, "A", (ONE,), idle=True),
        Record(WEB, "AAAA", (SIX,), idle=True),
    )
    names = names_for(made, seen, published={"o.example.org"})
    assert (names.records, names.missing) == ((), (WEB,))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, ()),
        (AgentAdvertisement(announced=0, sessions=UP), ()),
        (AgentAdvertisement(announced=2, sessions=()), ()),
        (AgentAdvertisement(announced=2, sessions=UP), (Record(WEB, "A", (ONE, TWO)),)),
        (
            AgentAdvertisement(announced=1, sessions=UP, withheld=1, reasons=((TWO, "no backend"),)),
            (Record(WEB, "A", (ONE,)),),
        ),
    ],
)
def test_with_peers_a_vip_counts_when_it_is_announced(said, found):
    made = plan(listener("a", ONE), listener("b", TWO), advertised=True)
    assert records(made, observed("a", "b", advertisement=said), published=()) == found


def test_checks_are_awaited_of_listeners_that_have_a_name():
    check = {"healthCheck": {"type": "TCP"}}
    made = plan(listener("a", ONE) | check, listener("b", TWO, None) | check, listener("c", SIX))
    assert checks_awaited(made, observed("a", "b", "c"))
    assert not checks_awaited(made, observed("a", "b", "c", ready=False))
    assert not checks_awaited(made, observed("a", "b", "c", health={"a": AgentHealth(unhealthy=0)}))
