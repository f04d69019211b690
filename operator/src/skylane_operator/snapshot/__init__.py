"""Pure: Plan to the forwarder's configuration, per pod, with generations."""

from skylane_operator.snapshot.build import (
    NO_ROUTING,
    Delta,
    PodSnapshot,
    ServiceFiles,
    delta_for,
    service_files,
    snapshot_for,
)

__all__ = ["NO_ROUTING", "Delta", "PodSnapshot", "ServiceFiles", "delta_for", "service_files", "snapshot_for"]
