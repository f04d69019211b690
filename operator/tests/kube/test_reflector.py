import asyncio
import contextlib
import itertools
import urllib.error

import pytest
from kubernetes.aio.client.configuration import Configuration
from operator_support import eventually, service

from skylane_operator.errors import ApiUnavailableError
from skylane_operator.kube import client as client_module
from skylane_operator.kube import reflector as reflector_module
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.reflector import Reflector
from skylane_operator.kube.resource import SERVICE, Resource
from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service

pytestmark = pytest.mark.apiserver


class Watched:
    def __init__(self, client, namespace, parse=Service.model_validate, resource=SERVICE):
        self.changes = []
        self.store = Store()
        self.reflector = Reflector(client, resource, parse, self.store, self._changed, namespace=namespace)

    def _changed(self, key, old, new):
        self.changes.append((key.name, old is not None, new is not None))

    def names(self):
        return {key.name for key in self.store}

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.reflector.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def add(api_server, namespace, name, *ports):
    api_server.request("POST", f"/api/v1/namespaces/{namespace}/services", service(namespace, name, *ports))


def remove(api_server, namespace, name):
    api_server.request("DELETE", f"/api/v1/namespaces/{namespace}/services/{name}")


async def test_lists_then_follows(api_server, client, namespace):
    add(api_server, namespace, "before")
    async with Watched(client, namespace).running() as watched:
        await asyncio.wait_for(watched.reflector.synced.wait(), 10)
        assert watched.names() == {"before"}
        add(api_server, namespace, "after")
        await eventually(lambda: watched.names() == {"before", "after"}, "the new Service")
        remove(api_server, namespace, "before")
        await eventually(lambda: watched.names() == {"after"}, "the deletion")
    assert watched.changes == [("before", False, True), ("after", False, True), ("before", True, False)]


async def test_a_change_of_what_nobody_reads_is_no_change(api_server, client, namespace):
    add(api_server, namespace, "one")
    async with Watched(client, namespace).running() as watched:
        await eventually(lambda: watched.names() == {"one"}, "the Service")
        path = f"/api/v1/namespaces/{namespace}/services/one"
        body = api_server.request("GET", path)
        body["spec"]["internalTrafficPolicy"] = "Local"
        api_server.request("PUT", path, body)
        add(api_server, namespace, "two")
        await eventually(lambda: "two" in watched.names(), "what came after it")
    assert watched.changes == [("one", False, True), ("two", False, True)]


async def test_pages_are_put_together(api_server, client, namespace, monkeypatch):
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    for number in range(5):
        add(api_server, namespace, f"service-{number}")
    async with Watched(client, namespace).running() as watched:
        await asyncio.wait_for(watched.reflector.synced.wait(), 10)
        assert len(watched.names()) == 5
        add(api_server, namespace, "later")
        await eventually(lambda: "later" in watched.names(), "the watch to go on from the last page")


async def test_what_vanished_unseen_is_dropped_after_a_410(api_server, client, namespace):
    add(api_server, namespace, "ghost")
    add(api_server, namespace, "stays")
    watched = Watched(client, namespace)
    async with watched.running():
        await eventually(lambda: len(watched.names()) == 2, "the list")
    remove(api_server, namespace, "ghost")
    # A server that has just started remembers no events from before: the version we go on from is gone.
    api_server.restart()
    async with watched.running():
        await eventually(lambda: watched.names() == {"stays"}, "the ghost to go", 30)
        assert watched.reflector.relists == 2
        add(api_server, namespace, "later")
        await eventually(lambda: "later" in watched.names(), "the watch after the second list")
    assert ("ghost", True, False) in watched.changes
    assert ("stays", True, True) not in watched.changes


async def test_goes_on_after_the_api_server_was_away(api_server, client, namespace):
    async with Watched(client, namespace).running() as watched:
        await asyncio.wait_for(watched.reflector.synced.wait(), 10)
        await asyncio.to_thread(api_server.restart)
        add(api_server, namespace, "later")
        await eventually(lambda: "later" in watched.names(), "the watch to be opened again", 30)


async def test_who_catches_up_lists_anew_and_at_once_what_had_failed(
    api_server, client, namespace, monkeypatch
):
    monkeypatch.setattr(reflector_module, "delays", lambda: itertools.repeat(3600.0))
    async with Watched(client, namespace).running() as watched:
        await asyncio.wait_for(watched.reflector.catch_up(), 10)
        assert watched.reflector.relists == 1
        await asyncio.to_thread(api_server.stop_api_server)
        await eventually(lambda: not watched.reflector.following.is_set(), "the watch to fail")
        await asyncio.to_thread(api_server.start)
        add(api_server, namespace, "missed")
        assert watched.names() == set()
        await asyncio.wait_for(watched.reflector.catch_up(), 10)
        assert watched.names() == {"missed"}
        assert watched.reflector.relists == 2


async def test_an_idle_kind_is_no_silence(client, namespace, monkeypatch):
    """No event and no bookmark comes: the end of a watch shows that the server is there."""
    monkeypatch.setattr(reflector_module, "WATCH_LEAST_S", 1)
    monkeypatch.setattr(reflector_module, "WATCH_MOST_S", 1)
    async with Watched(client, namespace).running() as watched:
        await asyncio.wait_for(watched.reflector.synced.wait(), 10)
        for _ in range(2):
            contact, turn = watched.reflector.last_contact, watched.reflector.last_turn
            await eventually(lambda c=contact: watched.reflector.last_contact > c, "the end of a watch")
            await eventually(lambda t=turn: watched.reflector.last_turn > t, "the next watch")
        assert watched.reflector.relists == 1


async def test_an_api_server_that_is_away_is_silence_but_no_standstill():
    nowhere = Configuration()
    nowhere.host = "https://127.0.0.1:1"
    async with KubeClient(nowhere) as client, Watched(client, "none").running() as watched:
        contact, turn = watched.reflector.last_contact, watched.reflector.last_turn
        await eventually(lambda: watched.reflector.last_turn > turn, "another attempt")
        assert watched.reflector.last_contact == contact


async def test_an_object_that_cannot_be_read_is_left_out_alone(api_server, client, namespace):
    def parse(body):
        if body["metadata"]["name"] == "poison":
            raise ValueError("cannot be read")
        return Service.model_validate(body)

    for name in ("good", "poison"):
        add(api_server, namespace, name)
    async with Watched(client, namespace, parse).running() as watched:
        await asyncio.wait_for(watched.reflector.synced.wait(), 10)
        add(api_server, namespace, "later")
        await eventually(lambda: watched.names() == {"good", "later"}, "the good ones")


async def test_a_kind_that_is_not_there_yet_is_found_when_it_comes(
    api_server, client, namespace, monkeypatch
):
    monkeypatch.setattr(reflector_module, "ABSENT_PAUSE_S", 0.05)
    resource = Resource("tests.skylane.dev/v1", "Thing", "things")
    async with Watched(client, namespace, lambda body: body, resource).running() as watched:
        await asyncio.wait_for(watched.reflector.synced.wait(), 10)
        assert watched.reflector.absent
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        api_server.request("POST", definitions, _definition(resource))
        try:
            await eventually(lambda: not watched.reflector.absent, "the kind to be known", 30)
            thing = {"apiVersion": resource.group_version, "kind": "Thing", "metadata": {"name": "one"}}
            api_server.request("POST", resource.collection_path(namespace), thing)
            await eventually(lambda: watched.names() == {"one"}, "the object")
        finally:
            api_server.request("DELETE", f"{definitions}/things.tests.skylane.dev")


def _definition(resource):
    group, version = resource.group_version.split("/")
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": resource.plural, "kind": resource.kind},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


async def test_a_namespace_of_its_own_is_all_it_touches(client, namespace):
    store = Store()
    other = Key("elsewhere", "untouched")
    store.put(other, "somebody else's")
    reflector = Reflector(
        client, SERVICE, Service.model_validate, store, lambda *_: None, namespace=namespace
    )
    task = asyncio.create_task(reflector.run())
    try:
        await asyncio.wait_for(reflector.synced.wait(), 10)
        assert store.get(other) == "somebody else's"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_no_server_is_a_fault_that_says_so():
    configuration = Configuration()
    configuration.host = "https://127.0.0.1:1"
    async with KubeClient(configuration) as nobody:
        with pytest.raises(ApiUnavailableError, match=r"127\.0\.0\.1:1"):
            await nobody.request("GET", "/version")


def widgets(api_server, *served):
    """A kind in two versions, of which these are served. Creates or changes it."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.test.skylane.dev"},
        "spec": {
            "group": "test.skylane.dev",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": name, "served": name in served, "storage": name == "v1", "schema": schema}
                for name in ("v1", "v1alpha2")
            ],
        },
    }
    try:
        found = api_server.request("GET", f"{path}/widgets.test.skylane.dev")
    except urllib.error.HTTPError:
        api_server.request("POST", path, body)
    else:
        api_server.request("PUT", f"{path}/widgets.test.skylane.dev", found | {"spec": body["spec"]})


async def test_a_kind_in_an_older_version_and_its_upgrade(api_server, client, namespace, monkeypatch):
    monkeypatch.setattr(reflector_module, "ABSENT_PAUSE_S", 0.05)
    monkeypatch.setattr(reflector_module, "WATCH_LEAST_S", 1)
    monkeypatch.setattr(reflector_module, "WATCH_MOST_S", 1)
    kind = Resource(
        "test.skylane.dev/v1", "Widget", "widgets", optional=True, older="test.skylane.dev/v1alpha2"
    )
    async with Watched(client, namespace, parse=dict, resource=kind).running() as watched:
        await eventually(lambda: watched.reflector.absent, "the kind to be unknown")
        widgets(api_server, "v1alpha2")
        await eventually(lambda: not watched.reflector.absent, "the older version", 20)
        body = {
            "apiVersion": "test.skylane.dev/v1alpha2",
            "kind": "Widget",
            "metadata": {"name": "one"},
        }
        api_server.request("POST", f"/apis/test.skylane.dev/v1alpha2/namespaces/{namespace}/widgets", body)
        await eventually(lambda: watched.names() == {"one"}, "the object")
        widgets(api_server, "v1")
        await eventually(lambda: watched.reflector.resource.group_version == kind.group_version, "v1", 20)
        await eventually(lambda: watched.store.get(Key(namespace, "one"))["apiVersion"].endswith("/v1"), "v1")
    assert ("one", True, False) not in watched.changes
