"""Small pods for tests of the cluster itself: busybox, gone at once when deleted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from cluster import runtime, single_node
from lib.proc import CommandError, wait_until

READY_TIMEOUT_S = 60


def manifest(
    name: str, *command: str, limits: Mapping[str, str] | None = None, networks: str | None = None
) -> dict[str, Any]:
    """A pod that runs ``command``; ``limits`` are its requests, too."""
    container = {
        "name": "main",
        "image": runtime.BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        "resources": {"limits": dict(limits or {})},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": name},
            "annotations": {} if networks is None else {"k8s.v1.cni.cncf.io/networks": networks},
        },
        "spec": {"terminationGracePeriodSeconds": 0, "dnsPolicy": "Default", "containers": [container]},
    }


def start(pod: dict[str, Any]) -> str:
    """Create the pod, wait until it is Ready, and return its address.

    Raises:
        CommandError: it is not Ready in time; the message ends with its events.

    """
    name = pod["metadata"]["name"]
    single_node.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        single_node.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={READY_TIMEOUT_S}s")
    except CommandError as error:
        events = single_node.kubectl("get", "events", f"--field-selector=involvedObject.name={name}")
        raise CommandError(f"{error}\n{events}") from error
    return single_node.kubectl("get", "pod", name, "-o=jsonpath={.status.podIP}")


@contextlib.contextmanager
def running(pod: dict[str, Any]) -> Iterator[str]:
    """The pod's address while it runs; it is deleted at the end, whatever happened inside."""
    with created(pod):
        yield start(pod)


@contextlib.contextmanager
def created(*objects: dict[str, Any]) -> Iterator[str]:
    """The first object's name; all are deleted at the end."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    single_node.kubectl("apply", "-f", "-", stdin=document)
    try:
        yield str(objects[0]["metadata"]["name"])
    finally:
        single_node.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=document)


def run_in_pod(name: str, *command: str) -> str:
    """Output of a command in the pod's container."""
    return single_node.kubectl("exec", name, "--", *command)


def wait_unschedulable(name: str, reason: str) -> None:
    """Wait until the scheduler says that the pod fits nowhere, because of ``reason``."""
    path = "{.status.conditions[?(@.type=='PodScheduled')].message}"

    def said() -> bool:
        return reason in single_node.kubectl("get", "pod", name, f"-o=jsonpath={path}")

    wait_until(said, f"pod {name} to be refused: {reason}", READY_TIMEOUT_S)
