"""Names of what we make for a LoadBalancer. A LoadBalancer's name is a DNS label of at most 40 characters."""

from skylane_operator.model.key import Key

LOAD_BALANCER_LABEL = "skylane.dev/loadbalancer"
TEMPLATE_GENERATION_ANNOTATION = "skylane.dev/base-generation"


def workload_name(load_balancer: str) -> str:
    """StatefulSet, ServiceAccount, headless Service, ConfigMap, NetworkPolicy and PodDisruptionBudget share this name."""
    return f"{load_balancer}-skylane"


def sync_secret_name(load_balancer: str) -> str:
    """The Secret with the key of its session sync."""
    return f"{workload_name(load_balancer)}-session-sync"


def pod_name(load_balancer: str, ordinal: int) -> str:
    """Name that the StatefulSet controller gives to the pod."""
    return f"{workload_name(load_balancer)}-{ordinal}"


def selector_labels(key: Key) -> dict[str, str]:
    """Labels that select the pods of a LoadBalancer; they never change."""
    return {"app.kubernetes.io/name": "skylane-lb", "app.kubernetes.io/instance": key.name}


def labels(key: Key) -> dict[str, str]:
    """Labels of everything that we make for a LoadBalancer."""
    return {
        **selector_labels(key),
        "app.kubernetes.io/managed-by": "skylane-operator",
        "app.kubernetes.io/component": "forwarder",
        LOAD_BALANCER_LABEL: key.name,
    }
