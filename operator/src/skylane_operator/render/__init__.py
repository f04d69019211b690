"""Pure: Plan to Kubernetes objects. Skeletons in templates/ are parsed at once; what leaves here is data."""

from skylane_operator.render.objects import RenderSettings, objects_for

__all__ = ["RenderSettings", "objects_for"]
