"""What Pod Security of a real API server says of the pods: the level `restricted`, and what the forwarder's pod asks beyond it."""

import uuid
from pathlib import Path

import pytest
import yaml

from cluster import gotools
from lib.proc import CommandError, run

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "operator/tests/golden"


@pytest.fixture
def restricted(api_server):
    """A namespace that admits pods of that level only, with the service accounts that both pods name."""
    name = f"restricted-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    api_server.request("POST", "/api/v1/namespaces", body)
    return name


def create(api_server, namespace, template):
    spec = template["spec"]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": spec["serviceAccountName"]}}
    api_server.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    text = yaml.safe_dump(pod)
    api_server.kubectl("create", "--dry-run=server", f"--namespace={namespace}", "--filename=-", stdin=text)


def template_of(documents, kind):
    return next(one for one in documents if one["kind"] == kind)["spec"]["template"]


def test_operator_pod_is_admitted(api_server, restricted):
    options = ("--namespace", restricted, "--kube-version", "1.36.0")
    rendered = run(gotools.helm(), "template", "skylane", ROOT / "charts/skylane", *options)
    create(api_server, restricted, template_of(yaml.safe_load_all(rendered), "Deployment"))


# The agent's and the routing daemon's containers are not named: they keep to the level.
BEYOND = (
    'violates PodSecurity "restricted:latest": unrestricted capabilities (container "forwarder" must not include {} in '
    'securityContext.capabilities.add), runAsNonRoot != true (pod or container "forwarder" must set '
    'securityContext.runAsNonRoot=true), runAsUser=0 (container "forwarder" must not set runAsUser=0)'
)


@pytest.mark.parametrize(
    ("case", "capabilities"),
    [
        ("demo", '"NET_ADMIN", "NET_RAW", "SYS_NICE"'),
        ("exclusive-vfio", '"IPC_LOCK", "SYS_NICE"'),
        ("session-sync", '"NET_ADMIN", "NET_RAW", "SYS_NICE"'),
    ],
)
def test_forwarder_pod_is_refused_for_what_it_needs_and_nothing_else(
    api_server, restricted, case, capabilities
):
    rendered = yaml.safe_load((GOLDEN / f"{case}.out.yaml").read_text())["render"]
    with pytest.raises(CommandError) as refused:
        create(api_server, restricted, template_of(rendered, "StatefulSet"))
    assert str(refused.value).endswith(BEYOND.format(capabilities))
