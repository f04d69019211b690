"""Command lines of etcd and the three control-plane programs, and the files they need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.certs import Authority, KeyPair, write_signing_key
from cluster.kubeconfig import write_kubeconfig

SERVICE_CIDR = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
POD_CIDR = "10.244.0.0/16"
ISSUER = "https://kubernetes.default.svc"
# etcd before 3.5 cannot report the progress of a watch; the API server then answers streaming lists with 500.
FEATURES = "WatchList=false"


@dataclass(frozen=True)
class Endpoint:
    """Where one control plane listens. ``address`` is where clients reach it."""

    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"


@dataclass(frozen=True)
class Credentials:
    """All certificates and kubeconfigs of one control plane, in one folder."""

    folder: Path
    authority: Authority
    serving: KeyPair
    kubelet_client: KeyPair
    service_account: KeyPair

    @classmethod
    def create(cls, folder: Path, endpoint: Endpoint) -> Credentials:
        authority = Authority.create(folder)
        hosts = {
            endpoint.address,
            "127.0.0.1",
            SERVICE_ADDRESS,
            "kubernetes",
            "kubernetes.default.svc",
            "localhost",
        }
        credentials = cls(
            folder,
            authority,
            serving=authority.issue("apiserver", "kube-apiserver", hosts=sorted(hosts)),
            kubelet_client=authority.issue("kubelet-client", "skylane-e2e-apiserver", ["system:masters"]),
            service_account=write_signing_key(folder),
        )
        credentials.kubeconfig("admin", endpoint, "skylane-e2e-admin", "system:masters")
        credentials.kubeconfig("controller-manager", endpoint, "system:kube-controller-manager")
        credentials.kubeconfig("scheduler", endpoint, "system:kube-scheduler")
        return credentials

    @classmethod
    def load(cls, folder: Path) -> Credentials:
        """Read what ``create`` wrote, so that a second start changes no certificate."""
        return cls(
            folder,
            Authority.load(folder),
            serving=KeyPair(folder / "apiserver.crt", folder / "apiserver.key"),
            kubelet_client=KeyPair(folder / "kubelet-client.crt", folder / "kubelet-client.key"),
            service_account=KeyPair(folder / "service-account.pub", folder / "service-account.key"),
        )

    def kubeconfig(self, name: str, endpoint: Endpoint, user: str, *groups: str) -> Path:
        """The file ``name``.kubeconfig of a user whose certificate is made here."""
        file = self.folder / f"{name}.kubeconfig"
        write_kubeconfig(file, endpoint.url, self.authority.file, self.authority.issue(name, user, groups))
        return file


def etcd_command(endpoint: Endpoint, data: Path) -> list[str]:
    client, peer = f"http://127.0.0.1:{endpoint.etcd_port}", f"http://127.0.0.1:{endpoint.etcd_peer_port}"
    return [
        "etcd",
        "--name=skylane-e2e",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=skylane-e2e={peer}",
        # Nothing here has to outlive a power cut.
        "--unsafe-no-fsync",
    ]


def apiserver_command(binaries: Path, endpoint: Endpoint, credentials: Credentials, *extra: str) -> list[str]:
    files = credentials
    return [
        f"{binaries}/kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{endpoint.etcd_port}",
        f"--advertise-address={endpoint.address}",
        f"--secure-port={endpoint.port}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={files.authority.file}",
        f"--tls-cert-file={files.serving.certificate}",
        f"--tls-private-key-file={files.serving.key}",
        f"--kubelet-client-certificate={files.kubelet_client.certificate}",
        f"--kubelet-client-key={files.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={files.service_account.certificate}",
        f"--service-account-signing-key-file={files.service_account.key}",
        f"--feature-gates={FEATURES}",
        "--profiling=false",
        *extra,
    ]


def controller_manager_command(binaries: Path, credentials: Credentials, *extra: str) -> list[str]:
    kubeconfig = credentials.folder / "controller-manager.kubeconfig"
    return [
        f"{binaries}/kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={credentials.service_account.key}",
        f"--root-ca-file={credentials.authority.file}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        *extra,
    ]


def scheduler_command(binaries: Path, credentials: Credentials) -> list[str]:
    kubeconfig = credentials.folder / "scheduler.kubeconfig"
    return [
        f"{binaries}/kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]
