"""The device plugin that offers the test NICs to the kubelet as `skylane.dev/nic`.

Where SR-IOV VFs stand in production, veth pairs stand here; a device's id is the interface's name.
Run as a process of its own in the host's namespaces: `python -m cluster.device_plugin`.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc

from cluster import device_plugin_pb2 as api
from cluster import device_plugin_pb2_grpc as rpc
from cluster import network
from cluster.paths import DATA, RUN
from lib.net import ip

RESOURCE = "skylane.dev/nic"
FOLDER = DATA / "kubelet/device-plugins"  # the kubelet's fixed folder, seen from the host's mounts
KUBELET_SOCKET = FOLDER / "kubelet.sock"
SOCKET = FOLDER / "skylane-nic.sock"
# How many NICs are offered; tests write it to take some away.
OFFERED_FILE = RUN / "nics-offered"
POLL_INTERVAL_S = 0.5


def set_offered(count: int) -> None:
    """Offer the first ``count`` NICs from now on."""
    OFFERED_FILE.write_text(f"{count}\n")


def offered() -> list[str]:
    try:
        count = int(OFFERED_FILE.read_text())
    except FileNotFoundError:
        count = network.NIC_COUNT
    return network.nic_names()[:count]


class NicPlugin(rpc.DevicePluginServicer):
    """Answers the kubelet. The list of devices is sent again whenever it changed."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def GetDevicePluginOptions(  # noqa: N802  the API's name
        self, _request: api.Empty, _context: grpc.ServicerContext
    ) -> api.DevicePluginOptions:
        return api.DevicePluginOptions()

    def ListAndWatch(  # noqa: N802
        self, _request: api.Empty, context: grpc.ServicerContext
    ) -> Iterator[api.ListAndWatchResponse]:
        sent: list[str] | None = None
        while context.is_active() and not self._stopping.is_set():
            names = offered()
            if names != sent:
                yield api.ListAndWatchResponse(devices=[api.Device(ID=n, health="Healthy") for n in names])
                sent = names
            self._stopping.wait(POLL_INTERVAL_S)

    def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, _context: grpc.ServicerContext
    ) -> api.AllocateResponse:
        return api.AllocateResponse(
            container_responses=[_allocated(list(one.devices_ids)) for one in request.container_requests]
        )


def _allocated(names: list[str]) -> api.ContainerAllocateResponse:
    """What the SR-IOV device plugin tells a container, too: the ids of its devices."""
    for name in names:
        network.repair_nic(name)
    return api.ContainerAllocateResponse(envs={"PCIDEVICE_SKYLANE_DEV_NIC": ",".join(names)})


def _register() -> None:
    with grpc.insecure_channel(f"unix://{KUBELET_SOCKET}") as channel:
        request = api.RegisterRequest(version="v1beta1", endpoint=SOCKET.name, resource_name=RESOURCE)
        rpc.RegistrationStub(channel).Register(request, timeout=10)


def _identity(socket: Path) -> tuple[int, int] | None:
    """Changes when the kubelet made its socket anew, and with it forgot all plugins."""
    with contextlib.suppress(FileNotFoundError):
        status = socket.stat()
        return status.st_ino, status.st_ctime_ns
    return None


def _serve(stopping: threading.Event) -> grpc.Server:
    SOCKET.unlink(missing_ok=True)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    rpc.add_DevicePluginServicer_to_server(NicPlugin(stopping), server)
    server.add_insecure_port(f"unix://{SOCKET}")
    server.start()
    return server


def _keep_nics() -> None:
    """Bring back NICs that died with a pod, and up those that came back down."""
    for name in network.nic_names():
        network.repair_nic(name)
    for line in ip(network.NODE, "-br link show type veth").splitlines():
        name, state = line.split()[0].partition("@")[0], line.split()[1]
        if name in network.nic_names() and state == "DOWN":
            ip(network.NODE, f"link set {name} up")


def main() -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    registered: tuple[int, int] | None = None
    server: grpc.Server | None = None
    while not stopping.wait(POLL_INTERVAL_S):
        _keep_nics()
        kubelet = _identity(KUBELET_SOCKET)
        if kubelet is None or kubelet == registered:
            continue
        # A kubelet that starts empties the folder, our socket included.
        if server is not None:
            server.stop(None).wait()
        server = _serve(stopping)
        try:
            _register()
        except grpc.RpcError as error:
            print(f"kubelet does not take the registration yet: {error}", flush=True)
            continue
        registered = kubelet
        print(f"registered {RESOURCE}: {', '.join(offered())}", flush=True)
    if server is not None:
        server.stop(1).wait()


if __name__ == "__main__":
    main()
