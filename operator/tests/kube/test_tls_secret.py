import asyncio

import pytest

from skylane_operator.kube.tls_secret import ensure_secret
from skylane_operator.model.key import Key

pytestmark = pytest.mark.apiserver


async def test_of_two_that_come_at_once_one_wins_and_both_have_the_same(client, namespace):
    key = Key(namespace, "skylane-operator-tls")

    def made_by(name):
        return lambda files: files or {"ca.crt": name}

    first, second = await asyncio.gather(
        ensure_secret(client, key, made_by(b"one")), ensure_secret(client, key, made_by(b"two"))
    )
    assert first == second


async def test_what_is_good_is_not_written_and_what_is_not_is_replaced(api_server, client, namespace):
    key = Key(namespace, "skylane-operator-tls")
    path = f"/api/v1/namespaces/{namespace}/secrets/{key.name}"
    await ensure_secret(client, key, lambda _: {"tls.crt": b"old"})
    version = api_server.request("GET", path)["metadata"]["resourceVersion"]
    assert await ensure_secret(client, key, lambda files: files) == {"tls.crt": b"old"}
    assert api_server.request("GET", path)["metadata"]["resourceVersion"] == version
    await ensure_secret(client, key, lambda _: {"tls.crt": b"new"})
    assert await ensure_secret(client, key, lambda files: files) == {"tls.crt": b"new"}
