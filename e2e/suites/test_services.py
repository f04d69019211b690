"""A Service of type LoadBalancer on the single-node cluster, reached from outside it."""

from __future__ import annotations

import pytest

import demo_steps as steps
from cluster import network
from lib.kube import Cluster
from lib.proc import wait_until
from lib.traffic import Plan, requests_from

pytestmark = pytest.mark.cluster


def test_service_answers_at_the_address_in_its_status(demo: Cluster) -> None:
    answers = steps.send_requests(target=steps.wait_for_service(demo))
    assert answers.failed == 0
    assert len(answers.served) == demo.read("deployment", steps.deployment_name())["spec"]["replicas"]


def test_pods_of_the_cluster_reach_the_address_too(demo: Cluster) -> None:
    """`ipMode: VIP`: kube-proxy takes them to the endpoints directly."""
    url = steps.wait_for_service(demo)
    answers = requests_from(network.NODE, Plan(url, 20, limit_s=20.0))
    assert (answers.failed, answers.total) == (0, 20)


def test_deleted_service_gives_its_address_back(demo: Cluster) -> None:
    url, name = steps.wait_for_service(demo), steps.service_name()
    demo.kubectl("delete", "service", name)
    pool = steps.load_balancer()["spec"]["services"]["pools"][0]

    def returned() -> bool:
        return bool(demo.read("virtualippool", pool)["status"]["assigned"] == 0)

    wait_until(returned, "the address to come back", 10.0, interval_s=0.1)
    answers = requests_from(network.CLIENT, Plan(url, 3, limit_s=10.0))
    assert answers.failed == answers.total
    steps.apply_example(demo)
    assert steps.send_requests(20, steps.wait_for_service(demo)).failed == 0
