"""One test's world: a namespace on a real control plane, the operator in this process, real agents, real forwarders."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import uuid
from pathlib import Path

import yaml
from operator_support import eventually

from skylane_agent.agent import Agent
from skylane_agent.settings import AgentSettings
from skylane_agent.stream import Timing
from skylane_operator.agents.tls import CA_CERTIFICATE
from skylane_operator.app import Operator
from skylane_operator.model.key import Key
from skylane_operator.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
FORWARDER = ROOT / "build/fwd/dpdk/skylane-fwd"
NODE = "node-1"
AUDIENCE = "skylane.dev/operator"
LOAD_BALANCERS = "/apis/skylane.dev/v1alpha1"


def crds():
    ours = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))]
    group = "k8s.cni.cncf.io"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    attachments = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"network-attachment-definitions.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "network-attachment-definitions", "kind": "NetworkAttachmentDefinition"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    return [*ours, attachments]


def node():
    amounts = {"cpu": "64", "memory": "64Gi", "hugepages-2Mi": "32Gi", "pods": "500", "skylane.dev/nic": "64"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
    }


def load_balancer(name="edge", *, replicas=1, services=("web",), octet=None, pools=(), **dataplane):
    """`octet` keeps the addresses of different load balancers apart; `pools` are those of its Services."""
    octet = octet or 1 + uuid.uuid4().int % 250
    return {
        "apiVersion": "skylane.dev/v1alpha1",
        "kind": "LoadBalancer",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "dataplane": {
                "cpu": {"policy": "shared"},
                "hugepages": {"size": "2Mi", "total": "64Mi"},
                "maxFlowsPerWorker": 1024,
                "networks": [
                    {
                        "name": "external",
                        "networkAttachment": "nic",
                        "resourceName": "skylane.dev/nic",
                        "driver": "af_packet",
                        "addresses": [f"10.77.{octet}.{10 + ordinal}/24" for ordinal in range(replicas)],
                        "gateway": f"10.77.{octet}.1",
                    }
                ],
                "localAddresses": [f"10.77.{octet}.{100 + ordinal}" for ordinal in range(replicas)],
                **dataplane,
            },
            "listeners": [
                {
                    "name": service,
                    "vip": f"198.51.{octet}.{10 + number}",
                    "port": 80,
                    "backends": [{"service": service, "port": 80}],
                }
                for number, service in enumerate(services)
            ],
            **({"services": {"pools": list(pools)}} if pools else {}),
        },
    }


class World:
    def __init__(self, api, client, folder):
        self.api, self.client, self.folder = api, client, folder
        self.namespace = f"test-{uuid.uuid4().hex[:10]}"
        self.watched = (self.namespace,)
        self.operator = None
        self.agents_dial = None  # None: that operator
        self._stop_operator = None
        self._operator_task = None
        self._agents = {}
        self._forwarders = {}
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        attachment = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition"}
        self.create(
            "k8s.cni.cncf.io/v1",
            "network-attachment-definitions",
            {**attachment, "metadata": {"name": "nic"}},
        )

    # objects of the API

    def path(self, group_version, plural, name=""):
        root = "/apis" if "/" in group_version else "/api"
        return f"{root}/{group_version}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, group_version, plural, body):
        return self.api.request("POST", self.path(group_version, plural), body)

    def get(self, group_version, plural, name):
        return self.api.request("GET", self.path(group_version, plural, name))

    def delete(self, group_version, plural, name):
        return self.api.request("DELETE", self.path(group_version, plural, name))

    def change(self, group_version, plural, name, alter, subresource=""):
        body = self.get(group_version, plural, name)
        alter(body)
        suffix = f"/{subresource}" if subresource else ""
        return self.api.request("PUT", self.path(group_version, plural, name) + suffix, body)

    def delete_namespace(self):
        self.delete_pool()
        self.api.request("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def add_load_balancer(self, *args, **kwargs):
        return self.create("skylane.dev/v1alpha1", "loadbalancers", load_balancer(*args, **kwargs))

    def add_pool(self, *addresses, **spec):
        """A VirtualIPPool, whose name is the world's own: pools have no namespace."""
        body = {"apiVersion": "skylane.dev/v1alpha1", "kind": "VirtualIPPool"}
        body |= {"metadata": {"name": self.namespace}, "spec": {"addresses": list(addresses), **spec}}
        self.api.request("POST", f"{LOAD_BALANCERS}/virtualippools", body)
        return self.namespace

    def pool(self):
        return self.api.request("GET", f"{LOAD_BALANCERS}/virtualippools/{self.namespace}")

    def delete_pool(self):
        with contextlib.suppress(urllib.error.HTTPError):
            self.api.request("DELETE", f"{LOAD_BALANCERS}/virtualippools/{self.namespace}")

    def service(self, name="web"):
        return self.get("v1", "services", name)

    async def until_service_condition(self, kind, status, reason=None, name="web", timeout_s=40.0):
        """The condition `skylane.dev/<kind>` of a Service, once it is so."""

        def holds():
            found = next(
                (
                    condition
                    for condition in self.service(name)["status"].get("conditions", ())
                    if condition["type"] == f"skylane.dev/{kind}"
                ),
                {"status": None, "reason": None},
            )
            return found if found["status"] == status and reason in (None, found["reason"]) else None

        try:
            return await eventually(holds, f"{kind}={status} {reason or ''}", timeout_s)
        except AssertionError as late:
            raise AssertionError(f"{late}; the status is {self.service(name)['status']}") from late

    def load_balancer(self, name="edge"):
        return self.get("skylane.dev/v1alpha1", "loadbalancers", name)

    def condition(self, kind, name="edge"):
        conditions = self.load_balancer(name).get("status", {}).get("conditions", ())
        return next((condition for condition in conditions if condition["type"] == kind), {"status": None})

    async def until_condition(self, kind, status, reason=None, name="edge", timeout_s=40.0):
        def holds():
            found = self.condition(kind, name)
            return found if found["status"] == status and reason in (None, found["reason"]) else None

        try:
            return await eventually(holds, f"{kind}={status} {reason or ''}", timeout_s)
        except AssertionError as late:
            status = json.dumps(self.load_balancer(name).get("status"), indent=1)
            raise AssertionError(f"{late}; the status is {status}") from late

    # the operator

    async def start_operator(self, port=0, **settings):
        task = self.begin_operator(port, **settings)
        await self.until_leading(self.operator, task)
        return self.operator

    def begin_operator(self, port=0, lb_image="skylane/lb:test", **changes):
        settings = Settings(
            namespace=self.namespace,
            lb_image=lb_image,
            operator_address="127.0.0.1:9443",
            watch_namespaces=self.watched,
            # One that stays: on a busy machine the Lease may be lost and taken again, and agents dial what they know.
            grpc_address=f"127.0.0.1:{port or free_port()}",
            http_address="127.0.0.1:0",
            lease_duration_s=60,  # nobody waits for it, and a busy machine shall not end a test
            **changes,
        )
        self.operator = Operator(settings, self.client)
        self._stop_operator = asyncio.Event()
        self._operator_task = asyncio.create_task(self.operator.run(self._stop_operator))
        return self._operator_task

    async def until_leading(self, operator, task):
        def leads():
            if task.done():
                task.result()
            return operator.term is not None and operator.term.began.is_set()

        await eventually(leads, "the operator to lead", 40)

    async def stop_operator(self):
        self._stop_operator.set()
        await asyncio.wait_for(self._operator_task, 40)
        self.operator = None

    # pods, agents, forwarders

    async def until_pod(self, name):
        def there():
            pods = self.api.request("GET", self.path("v1", "pods"))["items"]
            return next((pod for pod in pods if pod["metadata"]["name"] == name), None)

        return await eventually(there, f"pod {name}", 40)

    def set_ready(self, pod, status="True"):
        def alter(body):
            body["status"]["phase"] = "Running"
            now = "2026-01-01T00:00:00Z"
            body["status"]["conditions"] = [{"type": "Ready", "status": status, "lastTransitionTime": now}]

        self.change("v1", "pods", pod, alter, "status")

    def pod_folder(self, pod):
        folder = self.folder / pod
        folder.mkdir(exist_ok=True)
        return folder

    def agent_settings(self, pod, load_balancer="edge", token=None):
        folder = self.pod_folder(pod)
        if token is None:
            uid = self.get("v1", "pods", pod)["metadata"]["uid"]
            account = f"{load_balancer}-skylane"
            token = self.api.token(self.namespace, account, AUDIENCE, {"name": pod, "uid": uid})
        (folder / "token").write_text(token)
        config_map = self.get("v1", "configmaps", f"{load_balancer}-skylane")
        (folder / "ca.crt").write_text(config_map["data"][CA_CERTIFICATE])
        return AgentSettings(
            operator_address=self.agents_dial or f"127.0.0.1:{self.operator.term.grpc_port}",
            operator_server_name=f"skylane-operator.{self.namespace}.svc",
            token_file=folder / "token",
            ca_file=folder / "ca.crt",
            config_dir=folder / "config",
            control_socket=folder / "control.sock",
            bird_folder=folder / "bird",
            pod_name=pod,
            pod_namespace=self.namespace,
            load_balancer=load_balancer,
            http_port=0,
        )

    def start_agent(self, pod, timing=None, **kwargs):
        settings = self.agent_settings(pod, **kwargs)
        settings.config_dir.mkdir(exist_ok=True)
        stop = asyncio.Event()
        agent = Agent(settings, timing or Timing(first_delay_s=0.05, longest_delay_s=0.2))
        self._agents[pod] = (asyncio.create_task(agent.run(stop)), stop)
        return agent

    async def stop_agent(self, pod):
        task, stop = self._agents.pop(pod)
        stop.set()
        await asyncio.wait_for(task, 40)

    def agent_state(self, pod, load_balancer="edge"):
        return self.operator.term.agents.states_of(Key(self.namespace, load_balancer)).get(pod)

    def start_forwarder(self, pod):
        """skylane-fwd in a network namespace of its own that has the interface net1, as Multus would give it."""
        forwarder = Forwarder(self.pod_folder(pod))
        self._forwarders[pod] = forwarder
        return forwarder

    async def end_pod(self, pod):
        """End the pod's agent and forwarder, and with them its files."""
        if pod in self._agents:
            await self.stop_agent(pod)
        if pod in self._forwarders:
            self._forwarders.pop(pod).stop()
        shutil.rmtree(self.folder / pod, ignore_errors=True)

    async def aclose(self):
        for pod in list(self._agents):
            await self.stop_agent(pod)
        for forwarder in self._forwarders.values():
            forwarder.stop()
        if self.operator is not None:
            await self.stop_operator()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Forwarder:
    def __init__(self, folder):
        self._folder = folder
        self.network = f"sky-control-{uuid.uuid4().hex[:6]}"
        run("ip", "netns", "add", self.network)
        run("ip", "-n", self.network, "link", "add", "net1", "type", "veth", "peer", "name", "peer1")
        for link in ("net1", "peer1"):
            run("ip", "-n", self.network, "link", "set", link, "up")
        self.start()

    def start(self):
        command = ["nsenter", f"--net=/run/netns/{self.network}", FORWARDER]
        command += [
            "--config-dir",
            self._folder / "config",
            "--control",
            self._folder / "control.sock",
            "--no-huge",
        ]
        (self._folder / "config").mkdir(exist_ok=True)
        with (self._folder / "forwarder.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def add_gateway(self, address):
        """Have somebody on the other end of its link who answers ARP for the address (with its prefix length)."""
        run("ip", "-n", self.network, "address", "add", address, "dev", "peer1")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
        run("ip", "netns", "delete", self.network)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
