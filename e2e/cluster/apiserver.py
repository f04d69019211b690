"""A real etcd and kube-apiserver on loopback, without nodes: for tests of what talks to the API.

As a context manager ``api_server()``, or as the session fixture of the same name: a test folder's
conftest.py says ``pytest_plugins = ["cluster.apiserver"]``, or imports ``api_server_fixture``.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster import binaries, control_plane
from cluster.control_plane import Credentials, Endpoint
from lib.proc import Process, log_tail, run, start, wait_until

START_TIMEOUT_S = 60
LOOPBACK = "127.0.0.1"


@dataclass
class ApiServer:
    """A running control plane. ``kubeconfig`` is its administrator's."""

    folder: Path
    endpoint: Endpoint
    credentials: Credentials
    programs: Path
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        return self.credentials.folder / "admin.kubeconfig"

    @property
    def url(self) -> str:
        return self.endpoint.url

    @property
    def ca_file(self) -> Path:
        return self.credentials.authority.file

    def start(self) -> None:
        """Start etcd and the API server and wait until it is ready.

        Raises:
            TimeoutError: one of them did not become ready; the message ends with its log.

        """
        if not self._runs("etcd"):
            self._start("etcd", control_plane.etcd_command(self.endpoint, self.folder / "etcd"))
        # Loopback is refused as an endpoint of the `kubernetes` Service, which nobody here uses.
        extra = (
            "--bind-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--shutdown-delay-duration=0s",
        )
        command = control_plane.apiserver_command(self.programs, self.endpoint, self.credentials, *extra)
        self._start("kube-apiserver", command)
        try:
            wait_until(self.is_ready, f"the API server at {self.url}", START_TIMEOUT_S, interval_s=0.05)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{log_tail(self.log('kube-apiserver'))}") from late

    def start_controller_manager(self, *extra: str) -> None:
        """Start kube-controller-manager beside it: ServiceAccounts, StatefulSets, garbage collection."""
        port = f"--secure-port={_free_ports(1)[0]}"
        command = control_plane.controller_manager_command(self.programs, self.credentials, port, *extra)
        self._start("kube-controller-manager", command)

    def restart(self) -> None:
        """Stop the API server, with all its watches, and start it on the same port with the same data."""
        self.stop_api_server()
        self.start()

    def stop_api_server(self) -> None:
        """Stop the API server only; ``start`` brings it back."""
        self.processes.pop("kube-apiserver").stop()

    def stop(self) -> None:
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()

    def is_ready(self) -> bool:
        try:
            return bool(self.request("GET", "/readyz", decode=False) == "ok")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def request(self, verb: str, path: str, body: object = None, *, decode: bool = True) -> Any:  # noqa: ANN401
        """One request as administrator. Raises urllib.error.HTTPError with the API's answer as its body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=verb)  # noqa: S310  the URL is ours
        request.add_header("Content-Type", "application/json")
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(self.credentials.folder / "admin.crt", self.credentials.folder / "admin.key")
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            text = answer.read().decode()
        return json.loads(text) if decode else text

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Output of kubectl as administrator. Raises CommandError with what kubectl said."""
        return run(self.programs / "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def token(
        self,
        namespace: str,
        service_account: str,
        audience: str | None = None,
        pod: dict[str, str] | None = None,
    ) -> str:
        """A ServiceAccount token (TokenRequest API), bound to ``pod`` {"name": …, "uid": …} when given."""
        spec: dict[str, Any] = {"audiences": [audience or control_plane.ISSUER], "expirationSeconds": 3600}
        if pod is not None:
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", **pod}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.request("POST", path, body)["status"]["token"])

    def user_kubeconfig(self, user: str, *groups: str) -> Path:
        """The kubeconfig of another user, for RBAC tests."""
        return self.credentials.kubeconfig(user.replace(":", "-"), self.endpoint, user, *groups)

    def log(self, program: str) -> Path:
        return self.folder / "logs" / f"{program}.log"

    def _start(self, name: str, command: list[str]) -> None:
        self.processes[name] = start(command, self.log(name))

    def _runs(self, name: str) -> bool:
        return name in self.processes and self.processes[name].alive


@contextlib.contextmanager
def api_server(*, controller_manager: bool = False) -> Iterator[ApiServer]:
    """An API server of one's own, ready; stopped and wiped at the end, whatever happened inside."""
    folder = Path(tempfile.mkdtemp(prefix="skylane-apiserver-"))
    port, etcd_port, etcd_peer_port = _free_ports(3)
    endpoint = Endpoint(LOOPBACK, port, etcd_port, etcd_peer_port)
    server = ApiServer(folder, endpoint, Credentials.create(folder / "pki", endpoint), binaries.kubernetes())
    try:
        server.start()
        if controller_manager:
            server.start_controller_manager()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session", name="api_server")
def api_server_fixture() -> Iterator[ApiServer]:
    """One API server for the whole test session; tests keep apart by namespace."""
    with api_server() as server:
        yield server


def _free_ports(count: int) -> list[int]:
    """Loopback ports that are free now; held together so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
