"""What the suites on the demo's own objects share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import demo_steps as steps
from lib.kube import Cluster


@pytest.fixture(scope="module", name="demo")
def demo_fixture() -> Iterator[Cluster]:
    """The cluster with the chart and the example; the example goes away afterwards, the cluster stays."""
    steps.build_all()
    steps.start_cluster()
    cluster = steps.demo_cluster()
    steps.install_chart(cluster)
    try:
        steps.apply_example(cluster)
        steps.wait_for_load_balancer(cluster)
        yield cluster
    finally:
        cluster.kubectl("delete", "-f", steps.EXAMPLE, "--ignore-not-found", "--wait", timeout_s=120)
