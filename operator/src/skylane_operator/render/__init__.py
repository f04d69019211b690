"""Pure: Plan to Kubernetes objects. Skeletons in templates/ are parsed at once; what leaves here is data."""

from skylane_operator.render.objects import (
    Object,
    RenderSettings,
    dns_endpoint,
    objects_for,
    sync_secret_for,
)

__all__ = ["Object", "RenderSettings", "dns_endpoint", "objects_for", "sync_secret_for"]
