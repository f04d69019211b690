"""What must hold for every pod, whatever the case; the goldens show the whole."""

import json
import re
from pathlib import Path

import pytest
from plan_world import inputs, node

from skylane_operator.model.network import Driver
from skylane_operator.plan import plan_for
from skylane_operator.render import RenderSettings, objects_for, sync_secret_for
from skylane_operator.render.capabilities import capabilities_for

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = RenderSettings("skylane/lb:0", "10.96.0.1:9443", "skylane-operator.x.svc", "PEM\n")


def rendered(**spec):
    return objects_for(plan_for(inputs(nodes=[node("a")], **spec)), SETTINGS)


def template(**spec):
    return next(o for o in rendered(**spec) if o["kind"] == "StatefulSet")["spec"]["template"]


def kinds(**spec):
    return [o["kind"] for o in rendered(**spec)]


def test_a_budget_only_where_there_is_something_to_keep():
    assert "PodDisruptionBudget" not in kinds()
    assert "PodDisruptionBudget" in kinds(replicas=2)


@pytest.mark.parametrize("policy", ["exclusive", "shared"])
def test_quality_of_service(policy):
    for container in template(cpu={"policy": policy})["spec"]["containers"]:
        resources = container["resources"]
        guaranteed = resources["requests"] == resources["limits"]
        assert guaranteed is (policy == "exclusive")
        whole = not resources["requests"]["cpu"].endswith("m")
        assert whole is (policy == "exclusive" and container["name"] == "forwarder")


@pytest.mark.parametrize("driver", Driver)
def test_no_privilege_but_the_capabilities_with_a_reason(driver):
    text = (ROOT / "docs/design/capabilities.md").read_text()
    rows = re.findall(r"^\| ([A-Z_]+) \| (\w+) \|", text, re.MULTILINE)
    assert capabilities_for([driver]) == sorted(
        name for name, drivers in rows if drivers in ("every", driver)
    )
    assert "SYS_ADMIN" not in capabilities_for([driver])


def test_containers_are_locked_down():
    spec = template()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # Of the sysctls that a kubelet lets any pod have, and that Pod Security's baseline does too.
    assert [one["name"] for one in spec["securityContext"]["sysctls"]] == ["net.ipv4.ping_group_range"]
    assert not any("hostPath" in volume for volume in spec["volumes"])
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert "privileged" not in context


def test_interfaces_are_named_in_the_order_of_the_networks():
    annotation = template()["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"]
    assert json.loads(annotation) == [{"name": "nic", "namespace": "default", "interface": "net1"}]


def test_text_of_a_user_cannot_change_the_structure():
    hostile = 'x"\nhostNetwork: true\n#{{ 1 }}'
    spec = template(nodeSelector={"label": hostile})["spec"]
    assert spec["nodeSelector"] == {"label": hostile}
    assert "hostNetwork" not in spec


def test_every_object_is_owned():
    for item in rendered(replicas=2):
        (owner,) = item["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("LoadBalancer", "demo", True)


def test_of_the_pod_network_only_the_agents_port_can_be_called():
    policy = next(o for o in rendered() if o["kind"] == "NetworkPolicy")["spec"]
    pod = template()
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    named = [port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])]
    assert policy["ingress"] == [{"ports": [{"port": name, "protocol": "TCP"} for name in named]}]
    assert policy["policyTypes"] == ["Ingress"]


def two_that_sync():
    network = {
        "name": "external",
        "networkAttachment": "nic",
        "resourceName": "skylane.dev/nic",
        "driver": "af_packet",
        "addresses": ["10.77.0.11/24", "10.77.0.12/24"],
        "gateway": "10.77.0.1",
    }
    local = ["10.77.0.101", "10.77.0.102"]
    return {"networks": [network], "localAddresses": local, "sessionSync": {"enabled": True}}


def test_the_key_of_session_sync_is_where_the_forwarder_alone_finds_it():
    plan = plan_for(inputs(nodes=[node("a")], **two_that_sync()))
    secret = sync_secret_for(plan, bytes(range(16)))
    spec = template(**two_that_sync())["spec"]
    (volume,) = [one for one in spec["volumes"] if "secret" in one]
    assert volume["secret"] == {"secretName": secret["metadata"]["name"], "defaultMode": 0o400}
    mounted = {
        container["name"]: mount
        for container in spec["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == volume["name"]
    }
    assert list(mounted) == ["forwarder"]
    (file,) = secret["stringData"]
    assert plan.pods[0].base.sync.key_file == f"{mounted['forwarder']['mountPath']}/{file}"
    assert secret["stringData"][file] == "000102030405060708090a0b0c0d0e0f"
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "u"


def test_no_secret_without_session_sync():
    assert sync_secret_for(plan_for(inputs(nodes=[node("a")])), bytes(16)) is None
    assert not any("secret" in volume for volume in template()["spec"]["volumes"])
