from plan_world import load_balancer

from skylane_operator.kube.load_balancers import LoadBalancers
from skylane_operator.model.key import Key

KEY = Key("default", "demo")


def body(version, *, uid="u-1", workers=1, name="demo"):
    one = load_balancer(name=name, workers=workers).model_dump(mode="json", by_alias=True, exclude={"status"})
    one["metadata"] |= {"resourceVersion": str(version), "uid": uid}
    return one


class Server:
    """Answers a list with what the test wants at that moment; everything else is the real class."""

    def __init__(self, version, *bodies, meanwhile=lambda: None):
        self.version, self.bodies, self.meanwhile = version, bodies, meanwhile

    async def pages(self, _path):
        self.meanwhile()
        yield {"items": list(self.bodies), "metadata": {"resourceVersion": str(self.version)}}


def workers(balancers):
    return balancers._store.get(KEY).parsed.spec.dataplane.workers


def test_a_late_answer_does_not_undo_a_newer_one():
    balancers = LoadBalancers(None, (), lambda _: None, lambda _: None)
    balancers.keep(body(9, workers=1))
    balancers.keep(body(10, workers=2))
    balancers.keep(body(9, workers=1))
    assert workers(balancers) == 2


def test_a_late_answer_does_not_bring_back_what_was_deleted_but_a_new_object_may_have_its_name():
    balancers = LoadBalancers(None, (), lambda _: None, lambda _: None)
    balancers.keep(body(9))
    balancers._drop(KEY)
    assert balancers.keep(body(10)) is None
    assert balancers.all() == []
    balancers.keep(body(11, uid="u-2"))
    assert balancers.all() == [KEY]


async def test_a_list_drops_what_vanished_and_nothing_that_came_after_it():
    newer = Key("default", "newer")
    balancers = LoadBalancers(None, (), lambda _: None, lambda _: None)
    balancers.keep(body(5))
    balancers._client = Server(20, meanwhile=lambda: balancers.keep(body(25, uid="u-9", name="newer")))
    assert await balancers.refresh() == {KEY}
    assert balancers.all() == [newer]


async def test_a_list_that_began_before_a_change_does_not_undo_it():
    balancers = LoadBalancers(None, (), lambda _: None, lambda _: None)
    balancers._client = Server(5, body(5), meanwhile=lambda: balancers.keep(body(8, workers=3)))
    assert await balancers.refresh() == set()
    assert workers(balancers) == 3


async def test_a_list_tells_what_is_new_or_differs():
    balancers = LoadBalancers(None, (), lambda _: None, lambda _: None)
    balancers._client = Server(5, body(5))
    assert await balancers.refresh() == {KEY}
    assert await balancers.refresh() == set()
