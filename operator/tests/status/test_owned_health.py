"""What a Service tells of its health check."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

import pytest

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import EndpointSlice, Service
from skylane_operator.plan.memory import Earlier
from skylane_operator.plan.observed import AgentHealth, OwnerState, SickBackend
from skylane_operator.plan.service_listeners import plan_for_service
from skylane_operator.plan.service_types import Assigned
from skylane_operator.status import current_service_status, health_awaited, service_status

EDGE = Key("net", "edge")
ASSIGNED = Assigned(IPv4Address("192.0.2.1"), EDGE, "public")
DUAL = Assigned(
    IPv4Address("192.0.2.1"), EDGE, "public", Assigned(IPv6Address("2001:db8::1"), EDGE, "public")
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    def __init__(self, *, check="TCP", ports=(80,), endpoints=3, draining=0, assigned=ASSIGNED, guard=None):
        annotations = {"skylane.dev/health-check": check} if check else {}
        if guard:
            annotations["skylane.dev/mass-removal-guard-max-share-percent"] = str(guard)
        named = [{"name": f"p{port}", "port": port} for port in ports]
        self.body = {
            "metadata": {"name": "web", "namespace": "shop", "generation": 4, "annotations": annotations},
            "spec": {"type": "LoadBalancer", "ports": named},
        }
        self.slices = [
            EndpointSlice.model_validate(
                {
                    "metadata": {"name": f"web-{family}", "namespace": "shop"},
                    "addressType": family,
                    "endpoints": [
                        {
                            "addresses": [f"{prefix}{i + 1}"],
                            "conditions": {"ready": i < endpoints, "terminating": i >= endpoints},
                        }
                        for i in range(endpoints + draining)
                    ],
                    "ports": named,
                }
            )
            for family, prefix in (("IPv4", "10.0.0."), ("IPv6", "2001:db8:1::"))
        ]
        self.assigned = assigned
        self.plan = plan_for_service(self.service, assigned, tuple(self.slices))

    def lose(self, count, earlier):
        slices = [one.model_copy(update={"endpoints": one.endpoints[count:]}) for one in self.slices]
        self.plan = plan_for_service(self.service, self.assigned, tuple(slices), earlier)

    @property
    def service(self):
        return Service.model_validate(self.body)

    def told(self, *reports):
        """The condition, once each port has the reports of pods a, b, ...; of the sick ones only the number: the first ones."""
        health = {
            one.name: {pod: report for pod, report in zip("ab", reports, strict=False) if report is not None}
            for one in self.plan.answering
        }
        self.state = OwnerState(pods=("a", "b"), health=health)
        status = service_status(
            self.service, self.assigned, self.plan, self.state, current_service_status(self.service), NOW
        )
        self.body["status"] = status
        return next((c for c in status["conditions"] if c["type"] == "skylane.dev/BackendsHealthy"), None)


def sick(*numbers, port=80, **more):
    return AgentHealth(
        len(numbers), tuple(SickBackend(f"10.0.0.{n}", port, "refused") for n in numbers), **more
    )


def outcome(condition):
    return condition["status"], condition["reason"], condition["message"]


def test_without_a_check_there_is_no_condition():
    assert World(check=None).told() is None


def test_it_is_unknown_until_a_pod_has_told():
    world = World()
    assert outcome(world.told())[:2] == ("Unknown", "NotChecked")
    assert health_awaited(world.plan, world.state)
    assert outcome(world.told(sick())) == (
        "True",
        "HealthChecksPass",
        "port 80/TCP: 3 of 3 backends pass the health check",
    )
    assert not health_awaited(world.plan, world.state)


def test_the_sick_are_counted_and_named_with_their_reasons():
    assert outcome(World().told(sick(2), sick(2, 3))) == (
        "False",
        "HealthChecksFailing",
        (
            "port 80/TCP: 1 of 3 backends pass the health check; 10.0.0.2:80 as a, b sees it: refused; "
            "10.0.0.3:80 as b sees it: refused"
        ),
    )


def test_what_is_named_has_an_end():
    world = World(ports=range(80, 100), endpoints=50)
    numbers = range(1, 11)
    health = {one.name: {"a": sick(*numbers, port=one.port)} for one in world.plan.answering}
    status = service_status(
        world.service, ASSIGNED, world.plan, OwnerState(pods=("a",), health=health), {}, NOW
    )
    message = status["conditions"][-1]["message"]
    assert message.count("refused") == 25
    assert message.endswith("; and 15 more")
    assert len(message) < 2000


@pytest.mark.parametrize(
    ("reports", "reason"),
    [
        ([sick(1), sick(1, 2, 3, panic=True)], "Panic"),
        ([sick(1), AgentHealth(0, obstacle="no sockets")], "HealthChecksNotMade"),
    ],
)
def test_the_worst_is_the_reason(reports, reason):
    assert outcome(World().told(*reports))[:2] == ("False", reason)


def test_a_port_without_endpoints_has_nothing_to_check():
    assert outcome(World(endpoints=0).told(sick())) == (
        "False",
        "NoEndpoints",
        "port 80/TCP has no ready endpoint with a weight above 0",
    )


def test_what_drains_is_not_counted():
    message = World(endpoints=2, draining=2).told(sick())["message"]
    assert message == "port 80/TCP: 2 of 2 backends pass the health check"


def test_that_only_terminating_ones_serve_is_told():
    assert outcome(World(endpoints=0, draining=2).told(sick())) == (
        "False",
        "AllTerminating",
        "port 80/TCP: no endpoint is ready; 2 that terminate but still serve take new connections",
    )


def test_the_same_port_at_two_addresses_is_told_apart():
    message = World(assigned=DUAL).told(sick())["message"]
    assert message.startswith("port 80/TCP of 192.0.2.1: 3 of 3")
    assert "port 80/TCP of 2001:db8::1: 3 of 3" in message


def test_a_guard_alone_tells_of_its_hold_only():
    world = World(check=None, guard=50)
    assert outcome(world.told()) == ("True", "EndpointsReady", "every port has ready endpoints")
    memories = {one.listener.name: one.memory for one in world.plan.listeners}
    world.lose(2, Earlier(memories, 10.0))
    assert outcome(world.told()) == (
        "False",
        "MassRemovalHeld",
        (
            "port 80/TCP: 2 of 3 endpoints would be lost at once, more than 50 %; 2 that are not ready stay backends until "
            "it has lasted 30 s, or enough are back"
        ),
    )
    assert not health_awaited(world.plan, world.state)


def test_what_is_written_is_known_as_ours_again():
    world = World()
    world.told(sick(1))
    assert current_service_status(world.service) == world.body["status"]
