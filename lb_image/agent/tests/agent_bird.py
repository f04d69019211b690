"""Two real BIRDs in network namespaces of their own: the pod's, without any privilege, and a router's, which fills its kernel."""

import contextlib
import subprocess
import uuid
from pathlib import Path

from skylane_api.forwarder.v1 import forwarder_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "d0 not log's me"  # noqa: S105 - of a test
POD_ADDRESS, ROUTER_ADDRESS = "10.99.0.2", "10.99.0.1"
NIC_ADDRESS = "10.77.0.11"  # of agent_forwarder.write_base
LOCAL_ASN, ROUTER_ASN = 4200000001, 64513

_ROUTER_CONF = """
log stderr all;
router id 10.99.0.1;
protocol device { }
protocol direct { ipv4; }
protocol kernel { learn off; ipv4 { import none; export where source = RTS_BGP; }; }
protocol bgp pod {
  local 10.99.0.1 as 64513;
  neighbor 10.99.0.2 as 4200000001;
  passive;
  multihop;
  password "d0 not log's me";
  ipv4 { import all; export none; };
}
"""


def peer(name="rack-1", **changes):
    given = {
        "name": name,
        "address": ROUTER_ADDRESS,
        "port": 179,
        "peer_asn": ROUTER_ASN,
        "local_asn": LOCAL_ASN,
        "hold_time_s": 90,
        "keepalive_time_s": 30,
        "multihop": True,
        "password": PASSWORD,
    }
    return pb.BGPPeer(**given | changes)


def routing(*peers, generation="p1"):
    return pb.Routing(generation=generation, peers=peers)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


class Network:
    """The two namespaces; `pod` and `router` are their names. The router has a leg in the network of the pods' NICs."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bird").mkdir(exist_ok=True)
        (folder / "router.conf").write_text(_ROUTER_CONF)
        mark = uuid.uuid4().hex[:8]
        self.pod, self.router = f"sky-bgp-pod-{mark}", f"sky-bgp-rtr-{mark}"
        self.daemons = {}

    def start(self):
        for name in (self.pod, self.router):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        pair = ("type", "veth", "peer", "name", "eth0", "netns", self.router)
        run("ip", "-n", self.pod, "link", "add", "eth0", *pair)
        run("ip", "-n", self.router, "link", "add", "nics", "type", "veth", "peer", "name", "nicsp")
        for name, link, address in (
            (self.pod, "eth0", POD_ADDRESS),
            (self.router, "eth0", ROUTER_ADDRESS),
            (self.router, "nics", "10.77.0.1"),
        ):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", link)
        for name, link in (
            (self.pod, "eth0"),
            (self.router, "eth0"),
            (self.router, "nics"),
            (self.router, "nicsp"),
        ):
            run("ip", "-n", name, "link", "set", link, "up")
        self.start_router()
        self.start_pod_bird()

    def start_router(self):
        self._start("router", self.router, self.folder / "router.conf", self.folder / "router.ctl")

    def start_pod_bird(self):
        # Root, since files are ours alone, but without any capability.
        bare = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs")
        start = ROOT / "lb_image/bird/start.conf"
        self._start("pod", self.pod, start, self.folder / "bird/bird.ctl", bare)

    def _start(self, name, network, conf, socket, prefix=()):
        command = ["nsenter", f"--net=/run/netns/{network}", *prefix, "bird", "-f", "-c", conf, "-s", socket]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, name):
        self.daemons[name].kill()
        self.daemons[name].wait()

    def stop(self):
        for daemon in self.daemons.values():
            daemon.terminate()
            daemon.wait(timeout=10)
        for name in (self.pod, self.router):
            run("ip", "netns", "delete", name)

    def kernel_routes(self):
        """What the router's kernel forwards by what it has learnt: VIP to next hop."""
        lines = run("ip", "-n", self.router, "route", "show", "proto", "bird").splitlines()
        return {fields[0]: fields[2] for fields in map(str.split, lines)}

    def router_says(self, command):
        return run("birdc", "-s", str(self.folder / "router.ctl"), command)

    def session_since(self):
        """When the router's session last changed its state."""
        return next(
            line for line in self.router_says("show protocols").splitlines() if line.startswith("pod ")
        )


@contextlib.contextmanager
def network(folder: Path):
    one = Network(folder)
    try:
        one.start()
        yield one
    finally:
        one.stop()
