"""BIRD in network namespaces: a router that learns VIPs by BGP, and a pod's daemon beside it for tests without a cluster."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from lib.net import add_address, add_namespace, add_veth, delete_namespace, inside, ip
from lib.proc import run

REPOSITORY = Path(__file__).resolve().parents[2]
# Without any capability: what a container has that is not root.
BARE = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs")
STOP_S = 10


class Bird:
    """A daemon that runs `conf` in a namespace; control socket and log lie in `folder`, under `name`."""

    def __init__(self, namespace: str, name: str, folder: Path, conf: Path) -> None:
        self.namespace, self._conf, self.log = namespace, conf, folder / f"{name}.log"
        self.socket = folder / f"{name}.ctl"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *prefix: str) -> None:
        words = [
            *inside(self.namespace),
            *prefix,
            "bird",
            "-f",
            "-c",
            str(self._conf),
            "-s",
            str(self.socket),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def says(self, command: str) -> str:
        """Its answer to a command of birdc. Raises CommandError."""
        return run("birdc", "-s", self.socket, command)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=STOP_S)


def router_conf(router_id: str, asn: int, password: str, pods: str) -> str:
    """A router that takes sessions from addresses of `pods` and forwards by all that it learns, evenly over equal routes."""
    secret = f'password "{password}";' if password else ""
    return f"""
log stderr all;
router id {router_id};
protocol device {{ }}
protocol direct {{ ipv4; ipv6; }}
protocol kernel {{ learn off; merge paths on; ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel {{ learn off; merge paths on; ipv6 {{ import none; export where source = RTS_BGP; }}; }}
protocol bgp pods {{
  local as {asn};
  neighbor range {pods} external;
  dynamic name "pod";
  passive;
  multihop;
  {secret}
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""


def learnt_routes(namespace: str) -> dict[str, set[str]]:
    """By what the kernel there forwards because BIRD says so: destination to next hops."""
    routes: dict[str, set[str]] = {}
    destination = ""
    shown = [ip(namespace, f"{version} route show proto bird") for version in ("-4", "-6")]
    for line in "".join(shown).splitlines():
        words = line.split()
        if words[0] != "nexthop":
            destination = words[0]
            routes[destination] = set()
        if "via" in words:
            routes[destination].add(words[words.index("via") + 1])
    return routes


class PodAndRouter:
    """A pod's daemon, as its container has it, and the router it talks to; its link `nics` leads to the pod's NIC."""

    NIC = "net1"
    POD_ADDRESS, ROUTER_ADDRESS = "10.99.0.2", "10.99.0.1"
    ASN = 64513

    def __init__(self, folder: Path, pod_folder: Path, *, password: str, nics: Sequence[str]) -> None:
        mark = uuid.uuid4().hex[:8]
        self._nics = nics  # addresses of the router's leg
        pod, router = f"sky-bgp-pod-{mark}", f"sky-bgp-rtr-{mark}"
        conf = folder / "router.conf"
        conf.write_text(router_conf(self.ROUTER_ADDRESS, self.ASN, password, "10.99.0.0/24"))
        pod_folder.mkdir(parents=True, exist_ok=True)
        self.router = Bird(router, "router", folder, conf)
        self.pod = Bird(pod, "bird", pod_folder, REPOSITORY / "lb_image/bird/start.conf")

    def start(self) -> None:
        pod, router = self.pod.namespace, self.router.namespace
        add_namespace(pod, forwards=False)
        add_namespace(router, forwards=True)
        add_veth((pod, "eth0"), (router, "eth0"))
        add_veth((router, "nics"), (pod, self.NIC))
        add_address(pod, "eth0", f"{self.POD_ADDRESS}/24")
        add_address(router, "eth0", f"{self.ROUTER_ADDRESS}/24")
        for address in self._nics:
            add_address(router, "nics", address)
        self.router.start()
        self.pod.start(*BARE)

    def stop(self) -> None:
        for daemon in (self.pod, self.router):
            daemon.stop()
        for namespace in (self.pod.namespace, self.router.namespace):
            delete_namespace(namespace)

    def routes(self) -> dict[str, set[str]]:
        return learnt_routes(self.router.namespace)

    def session(self) -> str:
        """The router's line about its session with the pod, with the time of its last change; empty: there is none."""
        lines = self.router.says("show protocols").splitlines()
        return next((line for line in lines if line.startswith("pod1 ")), "")
