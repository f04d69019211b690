"""A health check by annotations is the check that the LoadBalancer resource has, or is named with what is wrong."""

from ipaddress import IPv4Address

import pytest
from service_world import EDGE, service

from skylane_operator.plan.service_listeners import plan_for_service
from skylane_operator.plan.service_types import Assigned

ASSIGNED = Assigned(IPv4Address("192.0.2.1"), EDGE, "public")
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
# Every annotation, each type at least once; and what the agents take for it, as far as it is not the default.
VALID = [
    ({"health_check": "TCP"}, {"type": "tcp", "port": 0, "interval_ms": 5000, "timeout_ms": 1000}),
    (
        {
            "health_check": "HTTP",
            "health_check_path": "/healthz",
            "health_check_host": "shop.example.com",
            "health_check_expected_statuses": "200, 300-399",
            "health_check_interval_seconds": "10",
            "health_check_timeout_seconds": "3",
            "health_check_healthy_threshold": "1",
            "health_check_unhealthy_threshold": "5",
            "health_check_panic_threshold_percent": "40",
        },
        {
            "type": "http",
            "interval_ms": 10000,
            "timeout_ms": 3000,
            "healthy_threshold": 1,
            "unhealthy_threshold": 5,
            "panic_threshold_percent": 40,
            "http": {
                "path": "/healthz",
                "host": "shop.example.com",
                "expected_statuses": ["200", "300-399"],
            },
        },
    ),
    (
        {"health_check": "HTTPS", "health_check_server_name": "shop", "health_check_ca_bundle": PEM},
        {
            "type": "https",
            "http": {"path": "/", "host": "", "expected_statuses": ["200-399"]},
            "tls": {"server_name": "shop", "ca_bundle": PEM, "insecure_skip_verify": False},
        },
    ),
    (
        {"health_check": "HTTPS", "health_check_insecure_skip_verify": "true"},
        {"tls": {"server_name": "", "ca_bundle": "", "insecure_skip_verify": True}},
    ),
    (
        {"health_check": "GRPC", "health_check_port": "9090", "health_check_grpc_service": "shop.Cart"},
        {"type": "grpc", "port": 9090, "grpc": {"service": "shop.Cart"}},
    ),
    (
        {
            "health_check": "UDP",
            "health_check_udp_payload": "cGluZw==",
            "health_check_udp_expect": "cG9uZw==",
        },
        {"type": "udp", "udp": {"payload": "cGluZw==", "expect": "cG9uZw=="}},
    ),
    ({"health_check": "ICMP"}, {"type": "icmp"}),
]
# What is wrong, and every part that the message must have: the annotation, and what to do.
INVALID = [
    ({"health_check": "SMTP"}, ["annotation skylane.dev/health-check: 'SMTP'", "'TCP', 'HTTP'"]),
    (
        {"health_check_path": "/"},
        ["skylane.dev/health-check is missing beside skylane.dev/health-check-path"],
    ),
    (
        {"health_check": "TCP", "health_check_intervall": "5"},
        ["skylane.dev/health-check-intervall is not known"],
    ),
    (
        {"health_check": "TCP", "health_check_port": "web"},
        ["annotation skylane.dev/health-check-port: 'web'", "valid integer"],
    ),
    (
        {"health_check": "HTTP", "health_check_path": "healthz"},
        ["annotation skylane.dev/health-check-path: 'healthz'", "^/"],
    ),
    (
        {"health_check": "HTTP", "health_check_expected_statuses": "200,ok"},
        ["annotation skylane.dev/health-check-expected-statuses: '200,ok'"],
    ),
    (
        {"health_check": "HTTP", "health_check_expected_statuses": "399-200"},
        [
            "annotation skylane.dev/health-check-expected-statuses: ",
            "399-200 must have its smaller status first",
        ],
    ),
    (
        {"health_check": "TCP", "health_check_path": "/"},
        ["annotation skylane.dev/health-check-path: ", "does not belong to a check of type TCP"],
    ),
    (
        {"health_check": "ICMP", "health_check_port": "80"},
        ["annotation skylane.dev/health-check-port: ", "does not belong to a check of type ICMP"],
    ),
    (
        {"health_check": "HTTPS"},
        ["skylane.dev/health-check-ca-bundle and ", "or skylane.dev/health-check-insecure-skip-verify: true"],
    ),
    (
        {"health_check": "HTTPS", "health_check_ca_bundle": PEM},
        ["annotation skylane.dev/health-check-ca-bundle: skylane.dev/health-check-server-name must be given"],
    ),
    (
        {"health_check": "TCP", "health_check_timeout_seconds": "9"},
        [
            "annotation skylane.dev/health-check-timeout-seconds: ",
            "must not be larger than skylane.dev/health-check-interval-seconds",
        ],
    ),
]


def has(found, wanted):
    return all(found[name] == value for name, value in wanted.items())


@pytest.mark.parametrize(("annotations", "wanted"), VALID, ids=str)
def test_annotations_make_the_check_of_every_listener(annotations, wanted):
    plan = plan_for_service(service(ports=[(80, "TCP"), (53, "UDP")], **annotations), ASSIGNED, ())
    assert not plan.faults
    checks = [one.health_check.model_dump(mode="json", exclude_none=True) for one in plan.answering]
    assert len(checks) == 2
    for check in checks:
        assert has(check, wanted), check


@pytest.mark.parametrize(("annotations", "parts"), INVALID, ids=str)
def test_a_check_that_is_not_valid_is_named_and_the_rest_is_served(annotations, parts):
    plan = plan_for_service(service(scheduler="mh", **annotations), ASSIGNED, ())
    (fault,) = plan.faults
    assert fault.reason == "InvalidAnnotation"
    for part in parts:
        assert part in fault.message
    (listener,) = plan.answering
    assert (listener.health_check, listener.scheduler) == (None, "mh")


def test_an_edited_check_is_a_new_generation():
    plans = [plan_for_service(service(**one), ASSIGNED, ()) for one, _ in VALID]
    assert len({plan.answering[0].generation for plan in plans}) == len(VALID)
