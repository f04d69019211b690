import itertools
import uuid

import pytest

from cluster.apiserver import api_server_fixture  # noqa: F401 - the fixture `api_server`
from skylane_operator.kube.client import KubeClient

_numbers = itertools.count()


@pytest.fixture
async def client(api_server):
    async with await KubeClient.connect(api_server.kubeconfig) as client:
        yield client


@pytest.fixture
def namespace(api_server):
    """A namespace of the test's own; without a controller manager its objects stay, so names are never used twice."""
    name = f"test-{next(_numbers)}-{uuid.uuid4().hex[:6]}"
    api_server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name
