"""Several replicas of the operator beside one test's world, installed by the chart: its Services, and its RBAC and no more."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import yaml
from operator_support import eventually
from operator_world import ROOT

from cluster import gotools
from lib.proc import run
from skylane_operator.app import Operator
from skylane_operator.kube.client import KubeClient
from skylane_operator.settings import Settings

CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
INSTALLED = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Service": "/api/v1/namespaces/{}/services",
}
SLICES = ("discovery.k8s.io/v1", "endpointslices", "skylane-operator")
PORTION_BYTES = 512  # of a slow connection
LEASES = ("coordination.k8s.io/v1", "leases", "skylane-operator")


def install(world, *more_options):
    """What the chart makes, but for the pods. Its names of cluster-wide objects are taken once a test."""
    options = ("--namespace", world.namespace, "--kube-version", "1.36.0", *more_options)
    rendered = run(gotools.helm(), "template", "skylane", ROOT / "charts/skylane", *options)
    for body in yaml.safe_load_all(rendered):
        if body["kind"] not in INSTALLED:
            continue
        if body["kind"] in CLUSTER_WIDE:
            body["metadata"]["name"] = f"skylane-operator-{world.namespace}"
        if body["kind"] == "ClusterRoleBinding":
            body["roleRef"]["name"] = body["metadata"]["name"]
        world.api.request("POST", INSTALLED[body["kind"]].format(world.namespace), body)


def uninstall(world):
    for kind in CLUSTER_WIDE:
        world.api.request("DELETE", f"{INSTALLED[kind]}/skylane-operator-{world.namespace}")


class Relay:
    """TCP to wherever `target()` says at the moment of the connection.

    `cut` ends all and refuses more, until `mend`. `freeze` has the connections of this moment stay open and carry nothing any
    more. While `pace_s` is not 0, that time goes by before each portion of what is carried.
    """

    def __init__(self, target):
        self._target = target
        self._writers = set()
        self._cut = False
        self._frozen = set()
        self.pace_s = 0.0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._relay, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()

    def cut(self):
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self):
        self._cut = False

    def freeze(self):
        self._frozen = set(self._writers)

    async def _relay(self, reader, writer):
        if self._cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", await self._target())
        except (OSError, LookupError):
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        self._writers -= ends

    async def _copy(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while portion := await reader.read(65536 if not self.pace_s else PORTION_BYTES):
                await asyncio.sleep(self.pace_s)
                if writer not in self._frozen:
                    writer.write(portion)
                    await writer.drain()
        writer.transport.abort()


class Replica:
    """One operator in this process. Its way to the API server can be cut."""

    def __init__(self, replicas, number, api_relay):
        self.api_relay = api_relay
        self._replicas, self._number = replicas, number
        self._stop = asyncio.Event()
        self.operator = self.task = None

    async def start(self):
        client = await KubeClient.connect(self._replicas.kubeconfig(self.api_relay.port))
        self.operator = Operator(self._replicas.settings(self._number), client)

        async def run_operator():
            async with client:
                await self.operator.run(self._stop)

        self.task = asyncio.create_task(run_operator())
        await asyncio.wait_for(self.operator.wait_ready(), 40)

    @property
    def leads(self):
        if self.task.done():
            self.task.result()
        term = self.operator.term
        return term is not None and term.began.is_set()

    async def until_leading(self, timeout_s=10.0):
        await eventually(lambda: self.leads, "the replica to lead", timeout_s)

    async def stop(self):
        self._stop.set()
        await asyncio.wait_for(self.task, 40)


class Killable:
    """One operator in a process of its own."""

    def __init__(self, replicas, number):
        environment = {
            f"SKYLANE_{name.upper()}": str(value)
            for name, value in replicas.settings(number).model_dump(exclude_none=True).items()
            if name not in ("kubeconfig", "watch_namespaces")
        }
        environment["SKYLANE_WATCH_NAMESPACES"] = replicas.world.namespace
        environment["KUBECONFIG"] = str(replicas.kubeconfig())
        self.address = str(replicas.settings(number).pod_address)
        self.log = replicas.world.folder / f"operator-{number}.log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "skylane_operator"]
            self.process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log
            )

    async def until_ready(self):
        await eventually(lambda: b": ready: " in self.log.read_bytes(), "the process to be ready", 30)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Replicas:
    """`service` is the operator's Service as kube-proxy would make it: it leads to whom the EndpointSlice names."""

    def __init__(self, world):
        self.world = world
        self.started = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self):
        install(self.world)
        self._stack.callback(uninstall, self.world)
        user = f"system:serviceaccount:{self.world.namespace}:skylane-operator"
        self._kubeconfig = self.world.api.user_kubeconfig(user)
        self.service = await self._stack.enter_async_context(Relay(self.leader_port))
        self.world.agents_dial = f"127.0.0.1:{self.service.port}"
        return self

    async def __aexit__(self, *_):
        for replica in self.started:
            if isinstance(replica, Killable):
                replica.kill()
            elif not replica.task.done():
                await replica.stop()
        await self._stack.aclose()

    def settings(self, number):
        return Settings(
            namespace=self.world.namespace,
            lb_image="skylane/lb:test",
            operator_address=f"127.0.0.1:{self.service.port}",
            pod_address=f"192.0.2.{number}",
            watch_namespaces=(self.world.namespace,),
            grpc_address="127.0.0.1:0",
            http_address="127.0.0.1:0",
        )

    def kubeconfig(self, port=None):
        """Of the chart's ServiceAccount; through a port of one's own, if given."""
        if port is None:
            return self._kubeconfig
        file = self.world.folder / f"by-{port}.kubeconfig"
        text = self._kubeconfig.read_text()
        assert self.world.api.url in text
        file.write_text(text.replace(self.world.api.url, f"https://127.0.0.1:{port}"))
        return file

    async def start(self):
        """One more in this process."""

        async def api_port():
            return self.world.api.endpoint.port

        relay = await self._stack.enter_async_context(Relay(api_port))
        replica = Replica(self, len(self.started) + 1, relay)
        self.started.append(replica)
        await replica.start()
        return replica

    async def spawn(self):
        """One more in a process of its own."""
        replica = Killable(self, len(self.started) + 1)
        self.started.append(replica)
        await replica.until_ready()
        return replica

    def slice(self):
        return self.world.get(*SLICES)

    def leader_address(self):
        (endpoint,) = self.slice()["endpoints"]
        return endpoint["addresses"][0]

    async def leader_port(self):
        body = await asyncio.to_thread(self.slice)
        return body["ports"][0]["port"]
