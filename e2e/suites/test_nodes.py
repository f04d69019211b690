"""What `make demo-on-cluster` says of nodes."""

from __future__ import annotations

import pytest

from lib.nodes import node_lacks, node_offers


def node(**allocatable: str) -> dict[str, object]:
    names = {name.replace("__", "/").replace("_", "-"): count for name, count in allocatable.items()}
    return {"metadata": {"name": "one"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi", **names}}}


def test_a_ready_node_lacks_nothing() -> None:
    ready = node(hugepages_2Mi="512Mi", vendor__nic="2")
    assert node_lacks(ready, "static") == []
    assert node_offers(ready) == "hugepages-2Mi=512Mi, vendor/nic=2"


@pytest.mark.parametrize(
    ("allocatable", "policy", "said"),
    [
        ({"vendor__nic": "2"}, "static", "no hugepages"),
        ({"hugepages_2Mi": "0", "hugepages_1Gi": "0", "vendor__nic": "2"}, "static", "no hugepages"),
        ({"hugepages_1Gi": "1Gi"}, "static", "no device-plugin resource"),
        ({"hugepages_1Gi": "1Gi", "vendor__nic": "0"}, "static", "no device-plugin resource"),
        ({"hugepages_1Gi": "1Gi", "vendor__nic": "1"}, "none", "cpuManagerPolicy is none"),
        ({"hugepages_1Gi": "1Gi", "vendor__nic": "1"}, None, "cpuManagerPolicy unknown"),
    ],
)
def test_what_is_missing_is_said(allocatable: dict[str, str], policy: str | None, said: str) -> None:
    lacks = node_lacks(node(**allocatable), policy)
    assert [lack for lack in lacks if lack.startswith(said)] == lacks
    assert len(lacks) == 1
