"""Pure: Plan to the forwarder's configuration, per pod, with generations."""

from skylane_operator.snapshot.build import (
    NO_ROUTING,
    Delta,
    OwnedFiles,
    PodSnapshot,
    delta_for,
    owned_files,
    snapshot_for,
)

__all__ = [
    "NO_ROUTING",
    "Delta",
    "OwnedFiles",
    "PodSnapshot",
    "delta_for",
    "owned_files",
    "snapshot_for",
]
