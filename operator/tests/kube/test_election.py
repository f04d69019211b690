"""Who may lead: candidates that see the Lease late, clocks that start anywhere, any order of renewals and deaths."""

import itertools
import random

import pytest

from skylane_operator.kube.election import Election, Record, timing_for

TIMING = timing_for(3)
LEASE_S = float(TIMING.duration_s)


def record(version, holder="other", duration_s=LEASE_S):
    return Record(str(version), holder, duration_s)


def candidate():
    return Election("me", TIMING)


def test_a_lease_that_nobody_has_made_is_free():
    election = candidate()
    election.saw(None, 0.0)
    assert election.may_take(0.0)
    assert election.leads_for_s(0.0) == 0.0


def test_a_held_lease_is_free_when_it_has_not_changed_for_its_duration():
    election = candidate()
    election.saw(record(1), 100.0)
    election.saw(record(1), 102.0)  # looked at again: the same
    assert not election.may_take(100.0 + LEASE_S - 0.001)
    assert election.may_take(100.0 + LEASE_S)


def test_each_renewal_starts_the_time_anew():
    election = candidate()
    for second in range(20):
        election.saw(record(second), float(second))
        assert not election.may_take(second + LEASE_S - 0.001)


def test_the_promise_of_the_holder_counts_not_our_own():
    election = candidate()
    election.saw(record(1, duration_s=15.0), 0.0)
    assert not election.may_take(14.9)
    assert election.may_take(15.0)


def test_a_released_lease_is_free_at_once():
    election = candidate()
    election.saw(record(1), 0.0)
    election.saw(record(2, holder=""), 0.1)
    assert election.may_take(0.1)


def test_a_lease_that_is_deleted_frees_nobody():
    election = candidate()
    election.saw(record(1), 0.0)
    election.saw(None, 0.1)
    assert not election.may_take(0.1)
    assert election.may_take(LEASE_S)


def test_a_leader_gives_up_before_the_time_that_it_asked_for():
    election = candidate()
    election.wrote(record(1, "me"), asked_s=10.0)
    assert election.leads_for_s(10.0 + TIMING.deadline_s - 0.001) > 0
    assert election.leads_for_s(10.0 + TIMING.deadline_s) == 0


def test_a_leader_that_sees_another_one_leads_no_longer():
    election = candidate()
    election.wrote(record(1, "me"), asked_s=0.0)
    election.saw(record(2, "other"), 0.1)
    assert election.leads_for_s(0.1) == 0
    assert not election.may_take(0.1)


def test_a_leader_whose_renewal_was_not_answered_takes_the_lease_that_it_finds_its_own():
    election = candidate()
    election.wrote(record(1, "me"), asked_s=0.0)
    election.saw(record(2, "me"), 50.0)
    assert election.leads_for_s(50.0) == 0
    assert election.may_take(50.0)


def test_a_candidate_looks_at_the_very_end_of_a_lease():
    election = candidate()
    election.saw(record(1), 0.0)
    assert election.next_look_s(0.0) == TIMING.retry_s
    assert election.next_look_s(LEASE_S - 0.1) == pytest.approx(0.1)
    assert election.next_look_s(LEASE_S + 1) == TIMING.retry_s


@pytest.mark.parametrize("duration_s", [3, 4, 15, 60])
def test_the_timing_leaves_room(duration_s):
    timing = timing_for(duration_s)
    assert timing.renew_s * 2 + timing.hurry_s < timing.deadline_s <= timing.duration_s - 0.5


class Replica:
    """A candidate with a clock that started somewhere else, answers that come late, and halts in between."""

    def __init__(self, name, chance):
        self.election = Election(name, TIMING)
        self.chance = chance
        self.offset_s = chance.uniform(-1e6, 1e6)
        self.next_s = chance.uniform(0, 1)
        self.known = None

    def clock(self, now_s):
        return now_s + self.offset_s

    def leads(self, now_s):
        return self.election.leads_for_s(self.clock(now_s)) > 0

    def turn(self, lease, now_s):
        """One attempt; returns the Lease as it is afterwards."""
        late_s = self.chance.choice([0.0, 0.01, 0.5, 2.0])  # from the server's answer until we have it
        asked_s = self.clock(now_s)
        self.next_s = now_s + late_s + self.chance.choice([0.05, TIMING.retry_s, TIMING.renew_s, 6.0])
        if not self.leads(now_s):
            self.known = lease
            self.election.saw(lease, self.clock(now_s + late_s))
            if late_s or not self.election.may_take(asked_s):
                return lease
        if self.known != lease:  # the write names another resourceVersion: refused
            self.known = None
            return lease
        version = int(lease.version) + 1 if lease else 1
        written = record(version, self.election.identity)
        if self.chance.random() < 0.9:  # else the answer is lost
            self.known = written
            self.election.wrote(written, asked_s)
        return written


@pytest.mark.parametrize("seed", range(50))
def test_two_never_lead_at_once(seed):
    chance = random.Random(seed)  # noqa: S311 - a test's
    replicas = [Replica(name, chance) for name in ("a", "b", "c")]
    lease, leaders = None, set()
    for step in itertools.count():
        replica = min(replicas, key=lambda one: one.next_s)
        now_s = replica.next_s
        lease = replica.turn(lease, now_s)
        leading = [one for one in replicas if one.leads(now_s)]
        assert len(leading) <= 1, f"step {step}, at {now_s:.3f} s"
        leaders.update(one.election.identity for one in leading)
        if step > 2000:
            break
    assert leaders == {"a", "b", "c"}
