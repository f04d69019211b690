"""Which LoadBalancer the Gateways of a GatewayClass are served by."""

from skylane_operator.model.gateway import GatewayClass
from skylane_operator.model.key import Key

GROUP, KIND = "skylane.dev", "LoadBalancer"


def load_balancer_of(gateway_class: GatewayClass) -> Key | str:
    """The LoadBalancer that it names, or what is wrong with spec.parametersRef, and the mend."""
    reference = gateway_class.spec.parameters_ref
    if reference is None:
        return "spec.parametersRef: there is none; name a LoadBalancer (group skylane.dev) and its namespace there"
    if (reference.group, reference.kind) != (GROUP, KIND):
        return (
            f"spec.parametersRef: {reference.kind} of group {reference.group or 'core'} is not what serves Gateways; name a "
            f"{KIND} of group {GROUP}"
        )
    if not reference.namespace:
        return f"spec.parametersRef.namespace: it is empty; give that of LoadBalancer {reference.name}"
    return Key(reference.namespace, reference.name)
