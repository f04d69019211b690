"""What is asked of the API server for the keys of session sync: creates, at their times, and nothing else."""

import pytest

from skylane_operator.errors import ApiConflictError, ApiError
from skylane_operator.kube.sync_secrets import AGAIN_S, AWAITED_S, KEY_BYTES, SyncSecrets
from skylane_operator.model.key import Key

OWNER = Key("web", "edge")


class Client:
    def __init__(self):
        self.asked, self.answer = [], None

    async def request(self, method, path, *, body):
        self.asked.append((method, path, body["key"]))
        if self.answer is not None:
            raise self.answer


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


def secret_of(key):
    return {"metadata": {"name": "edge-skylane-session-sync"}, "key": key}


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ensure(client, clock):
    keys = iter(range(100))
    made = SyncSecrets(client, clock, lambda size: bytes([next(keys)]) * size)

    async def ensure(uid="u", secret=secret_of, *, awaited=False):
        return await made.ensure(OWNER, uid, secret, awaited=awaited)

    return ensure


async def test_one_is_made_with_a_key_of_chance(client, ensure):
    assert await ensure() == AGAIN_S
    assert client.asked == [("POST", "/api/v1/namespaces/web/secrets", bytes(KEY_BYTES))]


async def test_one_that_is_there_is_left_and_tried_again_after_its_time(client, clock, ensure):
    client.answer = ApiConflictError("exists", 409)
    assert await ensure() == AGAIN_S
    clock.now_s += AGAIN_S - 1
    assert await ensure() == 1
    assert len(client.asked) == 1
    clock.now_s += 1
    await ensure()
    assert len(client.asked) == 2


async def test_a_pod_that_waits_has_it_tried_sooner(client, clock, ensure):
    await ensure()
    clock.now_s += AWAITED_S
    assert await ensure(awaited=True) == AWAITED_S
    assert len(client.asked) == 2


async def test_another_load_balancer_of_the_name_has_its_own(client, ensure):
    await ensure("u")
    await ensure("v")
    assert len(client.asked) == 2


async def test_none_is_made_where_none_is_wanted(client, ensure):
    assert await ensure(secret=lambda _key: None) is None
    assert client.asked == []


async def test_a_refusal_is_raised_and_tried_again_at_once(client, ensure):
    client.answer = ApiError("forbidden", 403)
    for _ in range(2):
        with pytest.raises(ApiError):
            await ensure()
    assert len(client.asked) == 2
