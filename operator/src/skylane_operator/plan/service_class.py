"""Which LoadBalancer a Service of type LoadBalancer asks for."""

from skylane_operator.model.key import Key
from skylane_operator.model.kubernetes import Service

CLASS_PREFIX = "skylane.dev/"


def wanted_load_balancer(service: Service, default: Key | None) -> Key | None:
    """The LoadBalancer that shall serve it; None if that is somebody else's matter.

    `skylane.dev/<name>` is one of the Service's own namespace, `skylane.dev/<namespace>.<name>` one of another: neither
    part can hold a dot. A Service without a class gets `default`.
    """
    if service.spec.type != "LoadBalancer" or service.metadata.deletion_timestamp is not None:
        return None
    if service.spec.load_balancer_class is None:
        return default
    if not service.spec.load_balancer_class.startswith(CLASS_PREFIX):
        return None
    namespace, _, name = service.spec.load_balancer_class.removeprefix(CLASS_PREFIX).rpartition(".")
    return Key(namespace or service.metadata.namespace, name)
