"""Session sync from the resource to the pods' files: a real API server, the operator with the chart's RBAC and no more."""

import base64
import json
import re
import urllib.error

import pytest
from operator_support import eventually
from operator_world import load_balancer
from replicas_world import install, uninstall

from skylane_operator.errors import ApiError
from skylane_operator.kube.client import APPLY, JSON, KubeClient

pytestmark = pytest.mark.apiserver

POD = "edge-skylane-0"
SECRET = "edge-skylane-session-sync"  # noqa: S105 - its name
GROUP = "skylane.dev/v1alpha1"


@pytest.fixture
async def chart(world):
    """The world with the ServiceAccount of the chart's operator; gives its kubeconfig."""
    install(world)
    kubeconfig = world.api.user_kubeconfig(f"system:serviceaccount:{world.namespace}:skylane-operator")
    async with await KubeClient.connect(kubeconfig) as world.client:
        yield kubeconfig
        if world.operator is not None:
            await world.stop_operator()
    uninstall(world)


def add_load_balancer(world):
    body = load_balancer(replicas=2, sessionSync={"enabled": True})
    return world.create(GROUP, "loadbalancers", body)


def secret(world):
    try:
        return world.get("v1", "secrets", SECRET)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


def key_in(body):
    return base64.b64decode(body["data"]["key"]).decode()


@pytest.mark.usefixtures("chart")
async def test_the_key_is_made_once_and_again_when_it_was_deleted(world, caplog):
    made = add_load_balancer(world)
    await world.start_operator()
    first = await eventually(lambda: secret(world), "the Secret", 20)
    assert re.fullmatch("[0-9a-f]{32}", key_in(first))
    (owner,) = first["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("LoadBalancer", made["metadata"]["uid"])
    # The pods mount it and are Pending here, so it is looked after often.
    await world.until_pod(POD)
    world.delete("v1", "secrets", SECRET)
    second = await eventually(lambda: secret(world), "the Secret once more", 20)
    assert key_in(second) != key_in(first)
    assert key_in(first) not in caplog.text
    assert key_in(first) not in json.dumps(world.load_balancer())


@pytest.mark.usefixtures("chart")
async def test_a_secret_that_is_there_is_left_as_it_is(world):
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": {"key": "0" * 32},
    }
    version = world.create("v1", "secrets", theirs)["metadata"]["resourceVersion"]
    add_load_balancer(world)
    await world.start_operator()
    await world.until_pod(POD)
    assert secret(world)["metadata"]["resourceVersion"] == version


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/v1/namespaces/{{}}/secrets/{SECRET}"),
        ("GET", "/api/v1/namespaces/{}/secrets"),
        ("GET", "/api/v1/secrets"),
        ("PUT", f"/api/v1/namespaces/{{}}/secrets/{SECRET}"),
        ("PATCH", f"/api/v1/namespaces/{{}}/secrets/{SECRET}"),
        ("DELETE", f"/api/v1/namespaces/{{}}/secrets/{SECRET}"),
    ],
)
async def test_of_a_secret_the_operator_may_do_nothing_but_make_it(world, chart, method, path):
    content_type = APPLY if method == "PATCH" else JSON
    query = {"fieldManager": "skylane-operator"} if method == "PATCH" else None
    async with await KubeClient.connect(chart) as client:
        with pytest.raises(ApiError) as refused:
            await client.request(
                method, path.format(world.namespace), body={}, query=query, content_type=content_type
            )
    assert refused.value.status == 403
