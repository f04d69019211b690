"""Each <case>.in.yaml gives exactly <case>.out.yaml. `make golden` rewrites the latter."""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from gateway_golden_world import Objects, outcome

from skylane_operator.model.key import Key
from skylane_operator.plan.gateway_listeners import judge_listeners, plan_for_gateway
from skylane_operator.plan.memory import Earlier
from skylane_operator.plan.service_types import Assigned

FOLDER = Path(__file__).parent
CASES = sorted(file.name.removesuffix(".in.yaml") for file in FOLDER.glob("*.in.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_statuses_and_listeners_are_the_golden_ones(case):
    golden = FOLDER / f"{case}.out.yaml"
    text = yaml.safe_dump(outcome((FOLDER / f"{case}.in.yaml").read_text()), sort_keys=False, width=120)
    if os.environ.get("GOLDEN") == "rewrite":
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_gateway_has_a_guard_by_annotations():
    text = (FOLDER / "health-checks-failing.in.yaml").read_text()
    text = text.replace(
        "skylane.dev/health-check: HTTP", 'skylane.dev/mass-removal-guard-confirm-seconds: "9"'
    )
    objects = Objects(text)
    (gateway,) = objects.by_kind["Gateway"].values()
    assigned = Assigned(ip_address("192.0.2.1"), Key("net", "edge"), "public")

    def planned(earlier):
        judged = judge_listeners(objects.inputs(), gateway, objects.routes)
        return plan_for_gateway(objects.inputs(), gateway, judged, assigned, earlier).listeners

    memories = {one.listener.name: one.memory for one in planned(Earlier())}
    assert len(memories) == 2
    objects.by_kind["EndpointSlice"].clear()
    held = planned(Earlier(memories, 0.0))
    assert [(len(one.backends), one.held.count, one.held.remaining_s) for one in held] == [(2, 2, 9.0)] * 2
    objects.by_kind["Service"].clear()
    assert [one.backends for one in planned(Earlier(memories, 0.0))] == [(), ()], (
        "a Service that is gone was deleted"
    )
