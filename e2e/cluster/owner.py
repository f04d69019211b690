"""One cluster a host: whose it is, so that one checkout does not end or use what another one runs."""

from __future__ import annotations

from pathlib import Path

from cluster.paths import REPOSITORY, RUN

_FILE = RUN / "checkout"


class OtherCheckoutError(Exception):
    """The cluster on this host was started from another checkout."""


def claim() -> None:
    """Note that the cluster is this checkout's. Raises OtherCheckoutError where it is another one's."""
    check()
    RUN.mkdir(parents=True, exist_ok=True)
    _FILE.write_text(str(REPOSITORY))


def check() -> None:
    """Raises OtherCheckoutError where the cluster is another checkout's that still exists."""
    if not _FILE.exists():
        return
    owner = Path(_FILE.read_text())
    if owner != REPOSITORY and (owner / "e2e").is_dir():
        raise OtherCheckoutError(
            f"the cluster on this host was started from {owner}: run `make down` there first "
            "(or, if it must go from here: cluster down --force)"
        )
