from ipaddress import IPv4Address, IPv6Address

import pytest
from service_world import EDGE, service

from skylane_operator.model.key import Key, ObjectKey
from skylane_operator.model.kubernetes import SERVING, TERMINATING, Endpoint, EndpointSlice, Service
from skylane_operator.plan.owned import listener_name
from skylane_operator.plan.service_class import wanted_load_balancer
from skylane_operator.plan.service_listeners import plan_for_service
from skylane_operator.plan.service_types import Assigned

ASSIGNED = Assigned(IPv4Address("192.0.2.1"), EDGE, "public")


def endpoint_slice(*addresses, port="p80-tcp", number=8080, protocol="TCP"):
    return EndpointSlice.model_validate(
        {
            "metadata": {"name": "web-1", "namespace": "shop"},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address]} for address in addresses],
            "ports": [{"name": port, "port": number, "protocol": protocol}],
        }
    )


def test_one_listener_a_port():
    slices = (
        endpoint_slice("10.0.0.1", "10.0.0.2"),
        endpoint_slice("10.0.0.3", port="p53-udp", protocol="UDP"),
    )
    plan = plan_for_service(service(ports=[(80, "TCP"), (53, "UDP")]), ASSIGNED, slices)
    assert [
        (str(one.vip), one.port, one.protocol, [backend.address for backend in one.backends])
        for one in plan.answering
    ] == [
        ("192.0.2.1", 80, "tcp", ["10.0.0.1", "10.0.0.2"]),
        ("192.0.2.1", 53, "udp", ["10.0.0.3"]),
    ]
    assert [one.arp for one in plan.answering + plan.silent] == [True, True, False, False]


def test_annotations_set_what_a_listener_has():
    settings = {"scheduler": "mh", "hash_on": "connection", "on_backend_removal": "reset"}
    (listener,) = plan_for_service(service(**settings), ASSIGNED, ()).answering
    assert (listener.scheduler, listener.hash_on, listener.on_backend_removal) == tuple(settings.values())


@pytest.mark.parametrize(("policy", "weights"), [("Drain", [1, 0]), ("Remove", [1])])
def test_terminating_endpoints_by_annotation(policy, weights):
    piece = endpoint_slice("10.0.0.1")
    leaving = Endpoint("10.0.0.2", SERVING | TERMINATING)
    piece = piece.model_copy(update={"endpoints": (*piece.endpoints, leaving)})
    (listener,) = plan_for_service(service(terminating_endpoints=policy), ASSIGNED, (piece,)).answering
    assert [backend.weight for backend in listener.backends] == weights


def test_a_slow_start_wants_a_scheduler_that_weighs():
    plan = plan_for_service(service(scheduler="rr", slow_start_seconds="60"), ASSIGNED, ())
    assert "skylane.dev/slow-start-seconds: '60' is not valid" in plan.faults[0].message
    assert plan.listeners[0].listener.slow_start_seconds is None


def test_a_wrong_annotation_is_named_and_the_rest_is_served():
    plan = plan_for_service(service(scheduler="fastest", hash_on="connection"), ASSIGNED, ())
    assert [str(fault.reason) for fault in plan.faults] == ["InvalidAnnotation"]
    assert "skylane.dev/scheduler: 'fastest'" in plan.faults[0].message
    assert (plan.answering[0].scheduler, plan.answering[0].hash_on) == ("wrr", "connection")


def with_spec(one, **spec):
    return Service.model_validate(
        {
            "metadata": one.metadata.model_dump(by_alias=True),
            "spec": {"type": "LoadBalancer", "ports": [{"name": "p80-tcp", "port": 80}], **spec},
        }
    )


def test_session_affinity_of_the_service():
    config = {"clientIP": {"timeoutSeconds": 600}}
    one = with_spec(service(), sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert plan_for_service(one, ASSIGNED, ()).answering[0].session_affinity_s == 600
    default = with_spec(service(), sessionAffinity="ClientIP")
    assert plan_for_service(default, ASSIGNED, ()).answering[0].session_affinity_s == 10800


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (["10.0.0.1/8", " 192.0.2.0/24", "2001:db8::/32"], ["10.0.0.0/8", "192.0.2.0/24"]),
        (["2001:db8::/32"], ["255.255.255.255/32"]),
        ([], []),
    ],
)
def test_source_ranges_of_the_service(given, allowed):
    one = with_spec(service(), loadBalancerSourceRanges=given)
    (listener,) = plan_for_service(one, ASSIGNED, ()).answering
    assert [str(network) for network in listener.allowed_source_ranges] == allowed


@pytest.mark.parametrize(
    "annotations",
    [
        {"skylane.dev/denied-source-ranges": "10.0.0.0/33"},
        {"skylane.dev/denied-source-ranges": "2001:db8::1/32"},
        {"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8,nonsense"},
    ],
)
def test_ranges_that_cannot_be_read_let_nobody_in(annotations):
    one = service()
    metadata = one.metadata.model_copy(update={"annotations": annotations})
    plan = plan_for_service(one.model_copy(update={"metadata": metadata}), ASSIGNED, ())
    assert [str(fault.reason) for fault in plan.faults] == ["InvalidAnnotation"]
    assert [str(network) for network in plan.answering[0].allowed_source_ranges] == ["255.255.255.255/32"]


DUAL = Assigned(
    IPv4Address("192.0.2.1"), EDGE, "public", Assigned(IPv6Address("2001:db8::1"), EDGE, "public")
)


def ipv6_slice(*addresses):
    slices = endpoint_slice(*addresses)
    return slices.model_copy(update={"address_type": "IPv6"})


def test_each_ip_version_has_its_own_listener_and_endpoints():
    plan = plan_for_service(service(), DUAL, (endpoint_slice("10.0.0.1"), ipv6_slice("2001:db8:1::1")))
    assert [(str(one.vip), [backend.address for backend in one.backends]) for one in plan.answering] == [
        ("192.0.2.1", ["10.0.0.1"]),
        ("2001:db8::1", ["2001:db8:1::1"]),
    ]
    assert len({one.name for one in plan.answering}) == 2


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (["10.0.0.0/8", "2001:db8::1/32"], [["10.0.0.0/8"], ["2001:db8::/32"]]),
        (["10.0.0.0/8"], [["10.0.0.0/8"], ["::/128"]]),
        (["2001:db8::/32"], [["255.255.255.255/32"], ["2001:db8::/32"]]),
        (["2001:db8::/129"], [["255.255.255.255/32"], ["::/128"]]),
        ([], [[], []]),
    ],
)
def test_each_ip_version_takes_its_own_ranges_and_is_closed_without(given, allowed):
    one = with_spec(service(), loadBalancerSourceRanges=given)
    plan = plan_for_service(one, DUAL, ())
    assert [[str(n) for n in one.allowed_source_ranges] for one in plan.answering] == allowed


def test_denied_ranges_of_one_ip_version_close_nothing_of_the_other():
    one = service(denied_source_ranges="10.0.0.0/8, 2001:db8::/32, 192.0.2.0/24")
    plan = plan_for_service(one, DUAL, ())
    assert plan.faults == ()
    assert [[str(n) for n in one.denied_source_ranges] for one in plan.answering] == [
        ["10.0.0.0/8", "192.0.2.0/24"],
        ["2001:db8::/32"],
    ]
    (_, ipv6) = plan_for_service(service(denied_source_ranges="10.0.0.0/8"), DUAL, ()).answering
    assert (ipv6.allowed_source_ranges, ipv6.denied_source_ranges) == ((), ())


def test_limits_and_denied_ranges_by_annotation():
    one = service(
        max_connections="1000",
        client_new_connections_per_second="5",
        denied_source_ranges="10.0.0.0/8, 192.0.2.0/24",
    )
    (listener,) = plan_for_service(one, ASSIGNED, ()).answering
    assert (listener.max_connections, listener.client_limits.new_connections_per_second) == (1000, 5)
    assert [str(network) for network in listener.denied_source_ranges] == ["10.0.0.0/8", "192.0.2.0/24"]


@pytest.mark.parametrize(("said", "meant"), [("TOA", "toa"), ("ProxyV2", "proxy_v2")])
def test_the_client_address_is_told_at_ports_of_tcp(said, meant):
    one = service(ports=[(53, "TCP"), (53, "UDP")], client_address=said)
    plan = plan_for_service(one, ASSIGNED, ())
    assert [(file.protocol, file.client_address) for file in plan.answering] == [
        ("tcp", meant),
        ("udp", "none"),
    ]
    assert not plan.faults


def test_a_client_address_that_nobody_knows_is_named():
    plan = plan_for_service(service(client_address="Proxy"), ASSIGNED, ())
    assert "skylane.dev/client-address: 'Proxy'" in plan.faults[0].message
    assert plan.answering[0].client_address == "none"


def test_what_contradicts_itself_is_named_and_the_rest_is_served():
    one = with_spec(service(hash_on="connection", scheduler="mh"), sessionAffinity="ClientIP")
    plan = plan_for_service(one, ASSIGNED, ())
    assert [fault.message.partition(":")[0] for fault in plan.faults] == [
        "the annotation skylane.dev/hash-on"
    ]
    assert (plan.answering[0].session_affinity_s, plan.answering[0].scheduler) == (10800, "mh")


def test_sctp_is_named_and_the_rest_is_served():
    plan = plan_for_service(service(ports=[(80, "TCP"), (90, "SCTP")]), ASSIGNED, ())
    assert [listener.port for listener in plan.answering] == [80]
    assert plan.faults[0].message == "port 90/SCTP: only TCP and UDP are served; remove the port"


def test_names_are_labels_and_differ():
    long = "x" * 63
    names = {
        listener_name(ObjectKey(kind, Key(namespace, name)), port, protocol)
        for kind in ("Service", "Gateway")
        for namespace in ("a", "b")
        for name in ("web", long)
        for port in (80, 65535)
        for protocol in ("TCP", "UDP")
    }
    assert len(names) == 32
    assert max(map(len, names)) <= 63


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("skylane.dev/edge", Key("shop", "edge")),
        ("skylane.dev/net.edge", Key("net", "edge")),
        ("example.com/edge", None),
        (None, Key("net", "default")),
    ],
)
def test_class_names_the_load_balancer(given, wanted):
    one = service()
    one = one.model_copy(update={"spec": one.spec.model_copy(update={"load_balancer_class": given})})
    assert wanted_load_balancer(one, Key("net", "default")) == wanted


def test_only_services_of_type_load_balancer():
    one = service()
    one = one.model_copy(update={"spec": one.spec.model_copy(update={"type": "ClusterIP"})})
    assert wanted_load_balancer(one, EDGE) is None
