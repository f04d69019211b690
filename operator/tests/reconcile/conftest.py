import asyncio

import pytest
from gateway_world import GatewayWorld
from operator_world import NODE, World, crds, node
from replicas_world import install, uninstall

from cluster.apiserver import api_server
from cluster.gateway_api import definitions
from skylane_operator.kube.client import KubeClient


@pytest.fixture(scope="session")
def control_plane():
    """An API server with the controllers that make pods of a StatefulSet, our CRDs and one node with room."""
    with api_server() as server:
        # Nobody plays the kubelet: without this the node would be found dead after a minute.
        server.start_controller_manager("--controllers=*,-node-lifecycle-controller")
        for definition in crds():
            server.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        server.kubectl("wait", "--for=condition=Established", "--timeout=20s", "crd", "--all")
        server.request("POST", "/api/v1/nodes", node())
        path = f"/api/v1/nodes/{NODE}"
        # A new node is tainted as not ready until the controller that we left out sees it ready.
        server.request("PUT", path, server.request("GET", path) | {"spec": {}})
        server.request("PUT", f"{path}/status", server.request("GET", path) | {"status": node()["status"]})
        yield server


@pytest.fixture
async def world(control_plane, tmp_path):
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        world = World(control_plane, client, tmp_path)
        try:
            yield world
        finally:
            await world.aclose()
            await asyncio.to_thread(world.delete_namespace)


@pytest.fixture(scope="session")
def gateway_api(control_plane):
    for definition in definitions():
        control_plane.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=20s", "crd", "--all")
    return control_plane


@pytest.fixture
async def gateway_world(gateway_api, tmp_path):
    """Its operator may do what the chart lets it do, and no more."""
    world = GatewayWorld(gateway_api, None, tmp_path)
    install(world)
    world.add_class()
    account = f"system:serviceaccount:{world.namespace}:skylane-operator"
    kubeconfig = gateway_api.user_kubeconfig(account, "system:authenticated")
    async with await KubeClient.connect(kubeconfig) as world.client:
        try:
            yield world
        finally:
            await world.aclose()
            await asyncio.to_thread(uninstall, world)
            await asyncio.to_thread(world.delete_class)
            await asyncio.to_thread(world.delete_namespace)
