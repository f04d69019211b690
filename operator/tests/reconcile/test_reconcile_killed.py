"""The operator is killed at every write that it makes, before it is sent and after: whoever starts next finishes."""

import asyncio
import contextlib
import urllib.error

import pytest
from operator_support import eventually
from services_world import POD, add_service, addresses_of

from skylane_operator import term
from skylane_operator.errors import ApiUnavailableError
from skylane_operator.model.key import Key

pytestmark = pytest.mark.apiserver

BALANCER = ("skylane.dev/v1alpha1", "loadbalancers", "edge")
LEASE = ("coordination.k8s.io/v1", "leases", "skylane-operator")
MADE = (
    ("apps/v1", "statefulsets"),
    ("v1", "services"),
    ("v1", "configmaps"),
    ("v1", "serviceaccounts"),
    ("policy/v1", "poddisruptionbudgets"),
    ("networking.k8s.io/v1", "networkpolicies"),
)
STARTS_AT_MOST = 100


class Killer:
    """Between the operator and the API server: at each write that it has not seen yet, the operator is dead."""

    def __init__(self, world):
        self._world, self._request = world, world.client.request
        self.struck = set()  # (write, whether it was sent)
        self._dead = asyncio.Event()

    async def request(self, method, path, **kwargs):
        if self._dead.is_set():
            raise ApiUnavailableError("killed")
        if method == "GET":
            return await self._request(method, path, **kwargs)
        write = f"{method} {path}"
        if (write, False) not in self.struck:
            await self._strike(write, sent=False)
        answer = await self._request(method, path, **kwargs)
        if (write, True) not in self.struck:
            await self._strike(write, sent=True)
        return answer

    async def _strike(self, write, *, sent):
        self.struck.add((write, sent))
        self._dead.set()
        await asyncio.get_running_loop().create_future()  # until the task is cancelled

    async def run_until_done(self, done):
        """Start the operator again and again, until it has nothing left to write that it was not killed at."""
        for _ in range(STARTS_AT_MOST):
            self._dead.clear()
            with contextlib.suppress(urllib.error.HTTPError):
                self._world.delete(*LEASE)  # as if it had run out
            task = self._world.begin_operator()
            over = (self._dead.is_set, task.done, done)
            await eventually(lambda over=over: any(one() for one in over), "a write, or the end", 60)
            if task.done():
                task.result()
            if not self._dead.is_set():
                return
            task.cancel()
            await asyncio.wait({task})
        raise AssertionError(f"still not done after {STARTS_AT_MOST} starts: {sorted(self.struck)}")


@pytest.fixture
def killer(world, monkeypatch):
    monkeypatch.setattr(term, "SETTLE_S", 0.0)  # nobody plays the agents
    killer = Killer(world)
    monkeypatch.setattr(world.client, "request", killer.request)
    return killer


def idle(world):
    """Whether nothing is left to do: a written status lingers for a second, in which its echo is handled."""
    now = world.operator.term
    if now is None or not now.began.is_set() or not now._settled:
        return False
    work = (now.queue, now.objects, now._addresses, *now._writers())
    return not any(map(len, work))


def made(world):
    """What the operator has made for the LoadBalancer: kind to names."""
    found = {}
    for kind in MADE:
        items = world.api.request("GET", world.path(*kind))["items"]
        found[kind[1]] = [one["metadata"]["name"] for one in items if one["metadata"].get("ownerReferences")]
    return found


def pods(world):
    items = world.api.request("GET", world.path("v1", "pods"))["items"]
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in items}


def all_made(world, *, budget):
    return made(world) == {
        plural: ["edge-skylane"] if plural != "poddisruptionbudgets" or budget else [] for _, plural in MADE
    }


async def test_whoever_starts_next_finishes(world, killer):
    world.add_load_balancer(replicas=2, services=(), pools=[world.add_pool("192.0.2.8/30")])
    add_service(world)

    def up():
        return idle(world) and all_made(world, budget=True) and len(pods(world)) == 2 and addresses_of(world)

    await killer.run_until_done(up)
    assert addresses_of(world) == [{"ip": "192.0.2.8", "ipMode": "VIP"}]
    assert world.pool()["status"]["assigned"] == 1
    assert world.condition("Accepted")["status"] == "True"
    created = {write for write, _ in killer.struck}
    assert {(write, sent) for write in created for sent in (False, True)} == killer.struck
    assert len(created) == 10, created  # a Secret, six objects, three statuses
    await world.stop_operator()

    # Something is deleted, changed and replaced.
    before = pods(world)

    def alter(body):
        body["spec"]["replicas"] = 1
        networks = body["spec"]["dataplane"]["networks"]
        networks[0]["addresses"].pop()
        body["spec"]["dataplane"]["localAddresses"].pop()
        body["spec"]["dataplane"]["maxFlowsPerWorker"] = 2048

    world.change(*BALANCER, alter)

    def down():
        replaced = pods(world).keys() == {POD} and pods(world)[POD] != before[POD]
        return idle(world) and all_made(world, budget=False) and replaced

    await killer.run_until_done(down)
    deleted = {write.partition(" ")[2] for write, _ in killer.struck if write.startswith("DELETE")}
    assert {path.rpartition("/")[2] for path in deleted} >= {"edge-skylane", POD}
    assert addresses_of(world) == [{"ip": "192.0.2.8", "ipMode": "VIP"}]

    # Nothing is left when all is gone.
    key = Key(world.namespace, "edge")
    world.delete("v1", "services", "web")
    world.delete(*BALANCER)
    await eventually(lambda: world.pool()["status"]["assigned"] == 0, "the address to come back", 20)
    await eventually(lambda: key not in world.operator.cluster.load_balancers.all(), "the operator to notice")
    await eventually(lambda: not any(made(world).values()), "the garbage collector", 40)
