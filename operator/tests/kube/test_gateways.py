from skylane_operator.handlers.marks import Marks
from skylane_operator.kube.cluster import Cluster
from skylane_operator.kube.gateways import Gateways
from skylane_operator.model.gateway import Gateway, GatewayClass, ReferenceGrant, Route
from skylane_operator.model.key import Key, ObjectKey, gateway_owner

CONTROLLER = "skylane.dev/gateway-controller"
GROUP = "gateway.networking.k8s.io"


class World:
    """The stores, filled by hand as the reflectors would, and what was marked since last asked."""

    def __init__(self, namespaces=()):
        self.marked, self.addresses_marked = [], 0
        self.gateways = Gateways(namespaces, self)
        self.kept = {}
        self.gateways.reflect(self._reflect)

    def _reflect(self, resource, parse, store, changed, **_):
        self.kept[resource.kind] = (parse, store, changed)

    def object(self, one):
        self.marked.append(one)

    def addresses(self):
        self.addresses_marked += 1

    def put(self, kind, name, spec, namespace="shop", **more):
        parse, store, changed = self.kept[kind]
        key = Key(namespace, name)
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "generation": 1, "resourceVersion": "1"},
            "spec": spec,
            **more,
        }
        one = parse(body)
        changed(key, store.put(key, one), one)

    def drop(self, kind, name, namespace="shop"):
        _, store, changed = self.kept[kind]
        key = Key(namespace, name)
        changed(key, store.drop(key), None)

    def add_class(self, name="edge", controller=CONTROLLER, namespace="net"):
        reference = {"group": "skylane.dev", "kind": "LoadBalancer", "namespace": namespace, "name": "edge"}
        spec = {"controllerName": controller, "parametersRef": reference}
        self.put("GatewayClass", name, spec, namespace="")

    def add_gateway(self, name="front", gateway_class="edge", **more):
        listener = {"name": "web", "protocol": "TCP", "port": 80}
        self.put("Gateway", name, {"gatewayClassName": gateway_class, "listeners": [listener]}, **more)

    def add_route(self, name="web", gateway="front", service="web", service_namespace="shop", **more):
        backend = {"name": service, "namespace": service_namespace, "port": 80}
        spec = {"parentRefs": [{"name": gateway}], "rules": [{"backendRefs": [backend]}]}
        self.put("TCPRoute", name, spec, **more)

    def news(self):
        marked, self.marked, self.addresses_marked = set(self.marked), [], 0
        return marked


def route(name):
    return ObjectKey("TCPRoute", Key("shop", name))


def gateway(name):
    return gateway_owner(Key("shop", name))


def test_endpoints_concern_only_the_gateways_that_have_a_route_to_them():
    world = World()
    world.add_class()
    for number in range(100):
        world.add_gateway(f"front-{number}")
        world.add_route(f"web-{number}", f"front-{number}", f"web-{number}")
    world.news()
    world.gateways.endpoints_changed(Key("shop", "web-7"))
    assert world.news() == {gateway("front-7")}
    world.gateways.service_changed(Key("shop", "web-7"))
    assert world.news() == {gateway("front-7"), route("web-7")}
    world.gateways.endpoints_changed(Key("other", "web-7"))
    assert world.news() == set()


def test_what_comes_in_any_order_is_looked_at_when_it_is_whole():
    world = World()
    world.add_route()
    world.add_gateway()
    assert gateway("front") not in world.news()
    world.add_class()
    assert world.addresses_marked == 1
    assert world.news() == {ObjectKey("GatewayClass", Key("", "edge")), gateway("front"), route("web")}
    assert set(world.gateways.objects()) == {
        ObjectKey("GatewayClass", Key("", "edge")),
        gateway("front"),
        route("web"),
    }


def test_a_status_that_we_wrote_concerns_only_its_object():
    world = World()
    world.add_class()
    world.add_gateway()
    world.add_route()
    world.news()
    world.add_gateway(status={"addresses": [{"value": "192.0.2.1"}]})
    assert world.addresses_marked == 0
    assert world.news() == {gateway("front")}
    world.add_route(status={"parents": []})
    assert world.news() == {route("web")}


def test_what_is_of_another_controller_is_nobodys_business():
    world = World()
    world.add_class("edge", "example.com/other")
    world.add_gateway()
    world.gateways.endpoints_changed(Key("shop", "web"))
    assert world.news() == set()
    assert list(world.gateways.askers()) == []


def test_a_class_of_a_load_balancer_that_is_not_watched_is_another_operators():
    world = World(namespaces=("net",))
    world.add_class("edge")
    world.add_class("far", namespace="elsewhere")
    world.add_gateway("front")
    world.add_gateway("back", "far")
    assert [asker.owner for asker in world.gateways.askers()] == [gateway("front")]
    assert ObjectKey("GatewayClass", Key("", "far")) not in set(world.gateways.objects())


def test_a_grant_concerns_the_routes_that_refer_to_its_namespace():
    world = World()
    world.add_class()
    world.add_gateway()
    world.add_route("across", service_namespace="lab")
    world.add_route("within")
    world.news()
    source = {"group": GROUP, "kind": "TCPRoute", "namespace": "shop"}
    world.put(
        "ReferenceGrant",
        "routes",
        {"from": [source], "to": [{"group": "", "kind": "Service"}]},
        namespace="lab",
    )
    assert world.news() == {route("across"), gateway("front")}
    world.drop("ReferenceGrant", "routes", "lab")
    assert world.news() == {route("across"), gateway("front")}


def test_a_load_balancer_concerns_its_classes_and_their_gateways():
    world = World()
    world.add_class()
    world.add_gateway()
    asking = list(world.gateways.asking_for(Key("net", "edge")))
    assert asking == [ObjectKey("GatewayClass", Key("", "edge")), gateway("front")]
    assert list(world.gateways.asking_for(Key("net", "other"))) == []


def test_models_take_what_the_api_server_gives():
    bare = {"metadata": {"name": "one", "namespace": "shop", "resourceVersion": "1"}}
    assert GatewayClass.model_validate(bare | {"spec": {"controllerName": "a/b"}}).spec.parameters_ref is None
    assert Gateway.model_validate(bare | {"spec": {"gatewayClassName": "edge", "listeners": None}})
    nothing = {"apiVersion": "a/v1", "kind": "TCPRoute", "spec": {"parentRefs": None, "rules": []}}
    assert Route.model_validate(bare | nothing).backends == ()
    assert not ReferenceGrant.model_validate(bare | {"spec": {"from": [], "to": []}}).permits(
        "TCPRoute", "shop", Key("shop", "web")
    )


def test_nothing_of_the_gateway_api_is_watched_where_that_is_not_wanted():
    watched = {
        wanted: {
            one.resource.kind
            for one in Cluster(None, (), Marks(None, None, None), gateway_api=wanted).reflectors
        }
        for wanted in (True, False)
    }
    assert watched[True] - watched[False] == {
        "GatewayClass",
        "Gateway",
        "TCPRoute",
        "UDPRoute",
        "ReferenceGrant",
    }


def test_a_gateway_on_its_way_out_asks_for_nothing():
    world = World()
    world.add_class()
    world.add_gateway()
    assert len(list(world.gateways.askers())) == 1
    _, store, changed = world.kept["Gateway"]
    key = Key("shop", "front")
    ending = store.get(key)
    metadata = ending.metadata.model_copy(update={"deletion_timestamp": "2026-01-01T00:00:00Z"})
    ending = ending.model_copy(update={"metadata": metadata})
    changed(key, store.put(key, ending), ending)
    assert list(world.gateways.askers()) == []
    assert world.addresses_marked == 3
