import itertools

from plan_world import load_balancer

from skylane_operator.handlers.marks import Marks
from skylane_operator.kube.load_balancers import LoadBalancers
from skylane_operator.model.key import Key


def listener(service):
    return {"name": "web", "vip": "198.51.100.10", "port": 80, "backends": [{"service": service, "port": 80}]}


_versions = itertools.count(1)


def body(name, service, placed):
    one = load_balancer(name=name, listeners=[listener(service)])
    conditions = [{"type": "ResourcesAvailable", "status": "True" if placed else "False"}]
    whole = one.model_dump(mode="json", by_alias=True, exclude_none=True)
    whole["metadata"] |= {"uid": name, "resourceVersion": str(next(_versions))}
    return {**whole, "status": {"conditions": conditions}}


class Askers:
    def asking_for(self, load_balancer):
        return [Key("shop", f"asks-{load_balancer.name}")]


def world():
    marked, contested = [], []
    marks = Marks(marked.append, lambda _key: None, lambda: None)
    balancers = LoadBalancers(None, (), contested.append, lambda _key: None)
    marks.bind(balancers, Askers())
    balancers.keep(body("a", "echo", placed=True))
    balancers.keep(body("b", "web", placed=False))
    return marks, balancers, marked, contested


def names(keys):
    return [key.name for key in keys]


def test_a_service_concerns_those_that_refer_to_it_and_nobody_else():
    marks, _, marked, _ = world()
    marks.service(Key("default", "unrelated"))
    marks.service(Key("elsewhere", "echo"))
    assert marked == []
    marks.service(Key("default", "echo"))
    assert names(marked) == ["a"]


def test_room_on_a_node_concerns_those_that_wait_for_it():
    marks, _, marked, _ = world()
    marks.usage()
    assert names(marked) == ["b"]
    marks.nodes()
    assert names(marked) == ["b", "a", "b"]


def test_an_attachment_concerns_those_that_use_it():
    marks, _, marked, _ = world()
    marks.attachment(Key("default", "other"))
    marks.attachment(Key("default", "nic"))
    assert names(marked) == ["a", "b"]


def test_rivals_for_an_address_hear_of_one_anothers_claims_only_when_these_change():
    _, balancers, _, contested = world()
    assert names(contested) == ["a"]  # b came and claims what a claims
    balancers.keep(body("b", "another", placed=True))
    assert names(contested) == ["a"]
    moved = body("b", "web", placed=True)
    moved["spec"]["listeners"][0]["vip"] = "198.51.100.99"
    balancers.keep(moved)
    assert names(contested) == ["a", "a"]


def test_terms_for_services_concern_their_addresses_and_those_who_ask():
    services, addresses = [], []
    marks = Marks(lambda _key: None, services.append, lambda: addresses.append(True))
    balancers = LoadBalancers(None, (), lambda _key: None, marks.offered)
    marks.bind(balancers, Askers())
    balancers.keep(body("a", "echo", placed=True))
    assert (names(services), len(addresses)) == (["asks-a"], 1)
    balancers.keep(body("a", "another", placed=False))
    assert len(addresses) == 1
    with_terms = body("a", "echo", placed=True)
    with_terms["spec"]["services"] = {"pools": ["public"]}
    balancers.keep(with_terms)
    assert (names(services), len(addresses)) == (["asks-a", "asks-a"], 2)
