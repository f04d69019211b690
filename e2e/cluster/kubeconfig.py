"""Kubeconfig files that carry their certificates inside, so that they can be copied anywhere."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from cluster.certs import KeyPair


def write_kubeconfig(file: Path, server: str, authority: Path, client: KeyPair) -> None:
    """Write a kubeconfig for ``server`` with the client's certificate as its user."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "skylane-e2e",
        "contexts": [{"name": "skylane-e2e", "context": {"cluster": "skylane-e2e", "user": "skylane-e2e"}}],
        "clusters": [
            {
                "name": "skylane-e2e",
                "cluster": {"server": server, "certificate-authority-data": _encoded(authority)},
            }
        ],
        "users": [
            {
                "name": "skylane-e2e",
                "user": {
                    "client-certificate-data": _encoded(client.certificate),
                    "client-key-data": _encoded(client.key),
                },
            }
        ],
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
