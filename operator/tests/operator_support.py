"""Shared by the operator's tests: waiting for what has to happen, and objects of the API."""

import asyncio
import time


async def eventually(condition, what, timeout_s=30.0, interval_s=0.005):
    """Wait until `condition()` is true and return what it gave; AssertionError names `what` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:g} s still waiting for {what}")
        await asyncio.sleep(interval_s)
    return result


def service(namespace, name, *ports, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": f"p{port}", "port": port} for port in ports or (80,)], **spec},
    }


def endpoint_slice(namespace, service_name, *addresses, port=80, target=8080):
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": f"p{port}", "port": target, "protocol": "TCP"}],
    }
