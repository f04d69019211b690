"""The CustomResourceDefinitions of the Gateway API, from its Go module: nothing else of it is compiled or run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from cluster.binaries import GO_ENVIRONMENT
from cluster.paths import THIRD_PARTY
from lib.proc import run

MODULE = "sigs.k8s.io/gateway-api"
# The kinds that the operator knows.
KINDS = ("gatewayclasses", "gateways", "tcproutes", "udproutes", "referencegrants")


def definitions() -> list[dict[str, Any]]:
    """Those of KINDS, in all versions; the go command fetches the module once and keeps it.

    Raises:
        CommandError: the module could not be fetched.

    """
    command = ("go", "mod", "download", "-json", MODULE)
    told = run(*command, env=GO_ENVIRONMENT, cwd=THIRD_PARTY / "gateway-api", timeout_s=600)
    folder = Path(json.loads(told)["Dir"]) / "config/crd/experimental"
    files = [folder / f"gateway.networking.k8s.io_{kind}.yaml" for kind in KINDS]
    return [yaml.safe_load(file.read_text()) for file in files]
