import pytest

from skylane_operator.kube.token_review import AUDIENCE, TokenIdentity, identity_of

pytestmark = pytest.mark.apiserver


@pytest.fixture
def pod(api_server, namespace):
    path = f"/api/v1/namespaces/{namespace}"
    api_server.request("POST", f"{path}/serviceaccounts", {"metadata": {"name": "edge-skylane"}})
    container = {"name": "agent", "image": "none"}
    spec = {"serviceAccountName": "edge-skylane", "containers": [container]}
    metadata = {"name": "edge-skylane-0"}
    return api_server.request("POST", f"{path}/pods", {"metadata": metadata, "spec": spec})["metadata"]


async def test_a_bound_token_names_its_pod(api_server, client, namespace, pod):
    bound = {"name": pod["name"], "uid": pod["uid"]}
    token = api_server.token(namespace, "edge-skylane", AUDIENCE, bound)
    expected = TokenIdentity(namespace, "edge-skylane", pod["name"], pod["uid"])
    assert await identity_of(client, token) == expected


async def test_tokens_for_others_or_of_no_pod_are_nobodys(api_server, client, namespace, pod):
    bound = {"name": pod["name"], "uid": pod["uid"]}
    for token in (
        api_server.token(namespace, "edge-skylane", "somebody.else", bound),
        api_server.token(namespace, "edge-skylane", AUDIENCE),
        "no token at all",
    ):
        assert await identity_of(client, token) is None
