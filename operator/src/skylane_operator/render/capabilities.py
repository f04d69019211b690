"""Linux capabilities of the forwarder container. The reasons are in docs/design/capabilities.md, checked by a test."""

from collections.abc import Iterable

from skylane_operator.model.network import Driver

_EVERY_DRIVER = {"SYS_NICE"}
_BY_DRIVER = {
    Driver.AF_PACKET: {"NET_ADMIN", "NET_RAW"},
    Driver.AF_XDP: {"BPF", "IPC_LOCK", "NET_ADMIN", "NET_RAW"},
    Driver.VFIO: {"IPC_LOCK"},
    Driver.MLX5: {"IPC_LOCK", "NET_RAW"},
}


def capabilities_for(drivers: Iterable[Driver]) -> list[str]:
    """What is added after ALL was dropped, sorted."""
    return sorted(_EVERY_DRIVER.union(*(_BY_DRIVER[driver] for driver in drivers)))
