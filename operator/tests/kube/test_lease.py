"""Candidates for one Lease on a real API server, with terms short enough for a test."""

import asyncio
import contextlib
import itertools
import time
from dataclasses import replace

import pytest
from operator_support import eventually

from skylane_operator.errors import ApiUnavailableError, WatchEndedError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.election import Timing
from skylane_operator.kube.lease import Lease
from skylane_operator.kube.resource import LEASE
from skylane_operator.model.key import Key

pytestmark = pytest.mark.apiserver

FAST = Timing(duration_s=2, deadline_s=1.5, renew_s=0.15, retry_s=0.1, hurry_s=0.05, stuck_s=1.0)


class Candidate:
    """`terms` are (began, ended) by the loop's clock; the last one may go on (ended None)."""

    def __init__(self, client, namespace, name, timing=FAST):
        self.client = client
        self.key = Key(namespace, "leader")
        self.shift_s = 0.0
        loop = asyncio.get_running_loop()
        self.lease = Lease(client, self.key, name, timing, lambda: loop.time() + self.shift_s)
        self.terms = []
        self.fault = None
        self.task = None

    @property
    def leads(self):
        return bool(self.terms) and self.terms[-1][1] is None

    async def lead(self):
        loop = asyncio.get_running_loop()
        self.terms.append((loop.time(), None))
        try:
            if self.fault is not None:
                raise self.fault
            await asyncio.Event().wait()
        finally:
            self.terms[-1] = (self.terms[-1][0], loop.time())

    def start(self):
        self.task = asyncio.create_task(self.lease.run(self.lead))

    async def stop(self):
        self.task.cancel()
        await asyncio.wait({self.task})

    def vanish(self):
        """End without a word, as a killed process does: what it would still write is not sent."""
        self.client.may_write = lambda: False
        self.task.cancel()


@pytest.fixture
async def candidate(api_server, namespace):
    async with contextlib.AsyncExitStack() as stack:
        started = []

        async def make(name, timing=FAST):
            client = await stack.enter_async_context(await KubeClient.connect(api_server.kubeconfig))
            one = Candidate(client, namespace, name, timing)
            started.append(one)
            one.start()
            return one

        yield make
        for one in started:
            await one.stop()


async def pair(candidate):
    first = await candidate("first")
    await eventually(lambda: first.leads, "the first to lead")
    return first, await candidate("second")


def never_two(*candidates):
    terms = sorted((began, ended or float("inf")) for one in candidates for began, ended in one.terms)
    return all(one[1] <= following[0] for one, following in itertools.pairwise(terms))


async def read(api_server, candidate):
    """Beside the event loop: whoever holds that up for long loses the Lease."""
    items = await asyncio.to_thread(api_server.request, "GET", LEASE.collection_path(candidate.key.namespace))
    return items["items"][0] if items["items"] else {"spec": {}}


async def until_lease(api_server, candidate, holds):
    async with asyncio.timeout(10):
        while not (body := await read(api_server, candidate))["spec"] or not holds(body["spec"]):
            pass
    return body


async def test_the_first_leads_and_the_second_waits(candidate, api_server):
    first, second = await pair(candidate)
    before = (await read(api_server, first))["spec"]
    spec = (await until_lease(api_server, first, lambda spec: spec["renewTime"] > before["renewTime"]))[
        "spec"
    ]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("first", 2, 0)
    assert not second.terms
    assert (first.lease.held(), second.lease.held()) == (True, False)


async def test_who_stops_gives_the_lease_back(candidate, api_server):
    first, second = await pair(candidate)
    started = asyncio.get_running_loop().time()
    await first.stop()
    await eventually(lambda: second.leads, "the second to lead")
    # Sooner than the Lease would have ended.
    assert second.terms[0][0] - started < FAST.deadline_s
    assert api_server.request("GET", LEASE.path(first.key))["spec"]["leaseTransitions"] >= 1
    assert never_two(first, second)


async def test_who_vanishes_is_followed_when_the_lease_has_ended(candidate):
    first, second = await pair(candidate)
    started = asyncio.get_running_loop().time()
    first.vanish()
    await eventually(lambda: second.leads, "the second to lead")
    assert FAST.deadline_s / 2 < second.terms[0][0] - started < FAST.duration_s + 2


async def test_a_leader_that_cannot_renew_ends_before_another_begins_and_leads_again(candidate):
    first, second = await pair(candidate)
    first.client.may_write = lambda: False
    await eventually(lambda: second.leads, "the second to lead")
    first.client.may_write = lambda: True
    await second.stop()
    await eventually(lambda: first.leads, "the first to lead again")
    assert len(first.terms) == 2
    assert never_two(first, second)


async def test_a_machine_that_slept_leads_no_longer(candidate):
    """Its own clock has gone on: it does not wait for an answer of the API server in order to know."""
    first, second = await pair(candidate)
    first.shift_s += 3600
    assert not first.lease.held()
    await eventually(lambda: first.terms[0][1] or second.leads, "the term to end")


async def test_a_leader_that_computes_for_a_while_stays_it_and_one_that_is_stuck_does_not(candidate):
    first, second = await pair(candidate)
    await eventually(lambda: second.lease.holder == "first", "the second to have seen it")
    turn = first.lease.last_turn
    while first.lease.last_turn < turn + FAST.stuck_s / 2:  # this loop does nothing else meanwhile
        time.sleep(0.01)  # noqa: ASYNC251
    assert first.lease.held()
    await eventually(lambda: first.lease._last_beat_s > turn, "the first to do something")
    deadline_s = time.monotonic() + 20
    while not second.lease.held() and time.monotonic() < deadline_s:
        time.sleep(0.01)  # noqa: ASYNC251
    assert (first.lease.held(), second.lease.held()) == (False, True)
    await eventually(lambda: second.leads and not first.leads, "the second to lead")


async def test_a_leader_that_renews_seldom_is_not_taken_for_stuck(candidate, api_server):
    leader = await candidate("leader", replace(FAST, stuck_s=0.05))
    await eventually(lambda: leader.leads, "it to lead")
    for _ in range(3):
        before = (await read(api_server, leader))["spec"]
        await until_lease(api_server, leader, lambda spec: spec["renewTime"] > before["renewTime"])  # noqa: B023
    assert len(leader.terms) == 1


async def test_a_lease_that_somebody_deletes_is_made_again_by_its_leader(candidate, api_server):
    first, second = await pair(candidate)
    await eventually(lambda: second.lease.holder == "first", "the second to have seen it")
    api_server.request("DELETE", LEASE.path(first.key))

    await until_lease(api_server, first, lambda spec: spec["holderIdentity"] == "first")
    assert (len(first.terms), len(second.terms)) == (1, 0)


async def test_who_is_unable_to_lead_lets_another_one(candidate):
    first = await candidate("first")
    first.fault = ApiUnavailableError("the Secret cannot be read")
    second = await candidate("second")
    await eventually(lambda: second.leads, "the second to lead")
    assert never_two(first, second)


async def test_a_fault_that_no_retry_mends_ends_the_candidate_and_frees_the_lease(candidate):
    first, second = await pair(candidate)
    await first.stop()
    await eventually(lambda: second.leads, "the second to lead")
    third = await candidate("third")
    third.fault = WatchEndedError("Kopf has ended by itself")
    await second.stop()
    with pytest.raises(WatchEndedError):
        await third.task
    fourth = await candidate("fourth")
    await eventually(lambda: fourth.leads, "the fourth to lead")
    assert fourth.terms[0][0] - third.terms[0][1] < FAST.deadline_s


async def test_a_release_follows_a_renewal_whose_answer_was_not_awaited(candidate, api_server):
    first, second = await pair(candidate)
    body = api_server.request("GET", LEASE.path(first.key))
    api_server.request(
        "PUT", LEASE.path(first.key), body | {"metadata": body["metadata"] | {"labels": {"a": "b"}}}
    )
    started = asyncio.get_running_loop().time()
    await first.stop()
    await eventually(lambda: second.leads, "the second to lead")
    assert second.terms[0][0] - started < FAST.deadline_s


async def test_who_may_not_write_sends_nothing_but_reads(client):
    client.may_write = lambda: False
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(ApiUnavailableError, match="not sent"):
            await client.request(method, "/api/v1/namespaces/default/configmaps")
    assert (await client.request("GET", "/api/v1/namespaces/default"))["kind"] == "Namespace"
