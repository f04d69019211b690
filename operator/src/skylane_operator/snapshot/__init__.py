"""Pure: Plan to what each pod's forwarder shall run, and to what an agent still lacks of it."""

from skylane_operator.snapshot.build import Delta, PodSnapshot, delta_for, snapshot_for

__all__ = ["Delta", "PodSnapshot", "delta_for", "snapshot_for"]
