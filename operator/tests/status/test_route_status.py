from datetime import UTC, datetime, timedelta

from skylane_operator.model.gateway import Route
from skylane_operator.plan.gateway_routes import Backends, RouteFault, RouteReason
from skylane_operator.status import ParentFacts, route_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = "skylane.dev/gateway-controller"
REFUSED = RouteFault(RouteReason.NO_MATCHING_PARENT, "no such listener")


def entry(name, controller="example.com/other"):
    return {"parentRef": {"name": name}, "controllerName": controller, "conditions": []}


def route(*parents):
    return Route.model_validate(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "TCPRoute",
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1", "generation": 3},
            "spec": {},
            "status": {"parents": list(parents)},
        }
    )


def told(one, *names, refusal=None, now=NOW):
    parents = tuple(ParentFacts({"name": name}, refusal) for name in names)
    return route_status(one, parents, Backends(), now)["parents"]


def owners(parents):
    return [(one["parentRef"]["name"], one["controllerName"]) for one in parents]


def test_entries_of_others_stay_as_they_are_and_where_they_are():
    before = [entry("a", OURS), entry("b"), entry("gone", OURS), entry("c")]
    parents = told(route(*before), "new", "a")
    assert owners(parents) == [
        ("a", OURS),
        ("b", "example.com/other"),
        ("c", "example.com/other"),
        ("new", OURS),
    ]
    assert parents[1:3] == [entry("b"), entry("c")]


def test_another_controller_may_speak_of_the_same_parent():
    assert owners(told(route(entry("a")), "a")) == [("a", "example.com/other"), ("a", OURS)]


def test_nothing_changes_what_is_said_already():
    first = told(route(), "a")
    again = told(route(*first), "a", now=NOW + timedelta(hours=1))
    assert again == first
    assert {one["observedGeneration"] for one in first[0]["conditions"]} == {3}


def test_a_condition_that_turns_is_dated_anew_and_the_other_is_not():
    first = told(route(), "a")
    (later,) = told(route(*first), "a", refusal=REFUSED, now=NOW + timedelta(hours=1))
    times = {one["type"]: one["lastTransitionTime"] for one in later["conditions"]}
    assert times == {"Accepted": "2026-01-01T01:00:00Z", "ResolvedRefs": "2026-01-01T00:00:00Z"}
    assert later["conditions"][0]["reason"] == "NoMatchingParent"


def test_no_parent_of_ours_leaves_nothing_of_ours():
    assert told(route(entry("a", OURS), entry("b"))) == [entry("b")]
