"""One API server, one operator in a process of its own, one agent with its forwarder, many Services."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from operator_support import endpoint_slice, eventually, service
from operator_world import NODE, World, crds, node

from cluster.apiserver import api_server
from skylane_operator.kube.client import KubeClient

POD = "edge-skylane-0"
CONCURRENT_WRITES = 16
SLICE = 100  # endpoints
MERGE_PATCH = "application/merge-patch+json"


class BenchError(Exception):
    """What was to be measured did not happen."""


class Operator:
    """`skylane-operator` as a process: what it takes is its own."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path) -> None:
        self.grpc_port, self.http_port = 21443, 21080
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "SKYLANE_NAMESPACE": namespace,
            "SKYLANE_LB_IMAGE": "skylane/lb:bench",
            "SKYLANE_OPERATOR_ADDRESS": f"127.0.0.1:{self.grpc_port}",
            "SKYLANE_GRPC_ADDRESS": f"127.0.0.1:{self.grpc_port}",
            "SKYLANE_HTTP_ADDRESS": f"127.0.0.1:{self.http_port}",
            "SKYLANE_LOG_LEVEL": "WARNING",
            "SKYLANE_LEASE_DURATION_S": "15",  # to be followed by nobody, but not to stop because the machine is busy
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "skylane_operator"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self._running().pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._running().pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise BenchError(f"the operator does not run; see {self._log}")
        return self._process


class BenchWorld(World):
    """A world whose operator is a process, and whose listeners are Services."""

    def __init__(self, api, client, folder):
        super().__init__(api, client, folder)
        self.process = Operator(api.kubeconfig, self.namespace, folder / "operator.log")
        self.agents_dial = f"127.0.0.1:{self.process.grpc_port}"
        self.services = 0
        self.endpoints = {}  # number of the Service to its addresses
        self.deltas = 0
        self.agent = None
        self._applied = asyncio.Event()

    async def prepare(self):
        """The LoadBalancer with its pod, forwarder and agent."""
        self.add_load_balancer(services=(), pools=[self.add_pool("100.64.0.0/16")], maxFlowsPerWorker=1024)
        self.process.start()
        # Seldom: a question costs the API server more than the answer is worth.
        await eventually(self._has_pod, "the pod", 60, interval_s=0.5)
        self.set_ready(POD)
        self.start_forwarder(POD)
        self.agent = self.start_agent(POD)
        await eventually(lambda: self.agent.local.running, "the forwarder", 30)
        self._count_deltas()

    def _has_pod(self):
        return self.api.request("GET", self.path("v1", "pods"))["items"]

    def _count_deltas(self):
        local, apply = self.agent.local, self.agent.local.apply

        async def counted(delta):
            await apply(delta)
            self.deltas += 1
            self._applied.set()

        local.apply = counted

    def running(self):
        """Listener to generation, as the forwarder said last."""
        running = self.agent.local._running
        return running.listeners if running else {}

    async def until_applied(self, condition, what, timeout_s=60.0):
        """Wait until `condition()` holds; it is looked at after each delta that was applied."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._applied.clear()
                    await self._applied.wait()
        except TimeoutError as late:
            raise BenchError(f"after {timeout_s:g} s still waiting for {what}") from late

    async def add_services(self, total, endpoints):
        """Up to `total` Services with so many endpoints each."""
        limit = asyncio.Semaphore(CONCURRENT_WRITES)

        async def add(number):
            async with limit:
                await self._add_service(number, endpoints)

        async with asyncio.TaskGroup() as group:
            for number in range(self.services, total):
                group.create_task(add(number))
        self.services = total

    async def _add_service(self, number, endpoints):
        name = f"s{number}"
        spec = {"type": "LoadBalancer", "loadBalancerClass": "skylane.dev/edge"}
        body = service(self.namespace, name, **spec, allocateLoadBalancerNodePorts=False)
        self.endpoints[number] = [address_of(number, index) for index in range(endpoints)]
        await self.client.request("POST", self.path("v1", "services"), body=body)
        piece = endpoint_slice(self.namespace, name, *self.endpoints[number])
        await self.client.request("POST", self.path("discovery.k8s.io/v1", "endpointslices"), body=piece)

    async def change_endpoint(self, number):
        """Replace the first endpoint of a Service by another one; returns its address."""
        address = next(
            one
            for one in (address_of(number, 200), address_of(number, 201))
            if one != self.endpoints[number][0]
        )
        self.endpoints[number] = [address, *self.endpoints[number][1:]]
        piece = endpoint_slice(self.namespace, f"s{number}", *self.endpoints[number])
        path = self.path("discovery.k8s.io/v1", "endpointslices", f"s{number}-1")
        body = {"endpoints": piece["endpoints"]}
        await self.client.request("PATCH", path, body=body, content_type=MERGE_PATCH)
        return address

    async def add_large_service(self, endpoints):
        """A Service with its endpoints in slices of a hundred, as Kubernetes writes them; the addresses, slice by slice."""
        spec = {"type": "LoadBalancer", "loadBalancerClass": "skylane.dev/edge"}
        body = service(self.namespace, "large", **spec, allocateLoadBalancerNodePorts=False)
        await self.client.request("POST", self.path("v1", "services"), body=body)
        slices = [
            [f"10.240.{first // SLICE}.{1 + n}" for n in range(SLICE)] for first in range(0, endpoints, SLICE)
        ]
        for number, addresses in enumerate(slices):
            piece = endpoint_slice(self.namespace, "large", *addresses)
            piece["metadata"]["name"] = f"large-{number}"
            await self.client.request("POST", self.path("discovery.k8s.io/v1", "endpointslices"), body=piece)
        return slices

    async def replace_endpoint(self, slices, index):
        """Give the endpoint with this index another address."""
        number, place = divmod(index, SLICE)
        slices[number][place] = slices[number][place].replace("10.240.", "10.241.")
        piece = endpoint_slice(self.namespace, "large", *slices[number])
        path = self.path("discovery.k8s.io/v1", "endpointslices", f"large-{number}")
        await self.client.request(
            "PATCH", path, body={"endpoints": piece["endpoints"]}, content_type=MERGE_PATCH
        )

    def large_runs(self, slices):
        """Whether the pod's file of the large Service has just these endpoints."""
        folder = self.pod_folder(POD) / "config" / "listeners"
        backends = [
            one for file in folder.glob("large-80-*.json") for one in json.loads(file.read_text())["backends"]
        ]
        return {one["address"] for one in backends} == {one for addresses in slices for one in addresses}

    def has(self, number, address):
        """Whether the pod's file of the Service names the endpoint."""
        return f'"{address}"' in self.file_of(number).read_text()

    def file_of(self, number):
        folder = self.pod_folder(POD) / "config" / "listeners"
        return next(folder.glob(f"s{number}-80-*.json"))

    async def aclose(self):
        await super().aclose()
        self.process.stop()


def address_of(number, index):
    """An address of an endpoint: 10.x.y.z, unlike that of any other Service's."""
    return f"10.{index}.{number // 250}.{1 + number % 250}"


@contextlib.asynccontextmanager
async def bench_world(folder):
    """A world on a control plane of its own; everything is stopped and wiped at the end."""
    with api_server() as server:
        server.start_controller_manager(
            "--controllers=statefulset-controller,serviceaccount-controller,root-ca-certificate-publisher-controller"
        )
        for definition in crds():
            server.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        server.kubectl("wait", "--for=condition=Established", "--timeout=20s", "crd", "--all")
        server.request("POST", "/api/v1/nodes", node())
        path = f"/api/v1/nodes/{NODE}"
        server.request("PUT", path, server.request("GET", path) | {"spec": {}})
        server.request("PUT", f"{path}/status", server.request("GET", path) | {"status": node()["status"]})
        async with await KubeClient.connect(server.kubeconfig) as client:
            world = BenchWorld(server, client, folder)
            try:
                yield world
            finally:
                await world.aclose()
