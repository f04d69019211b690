"""Hugepages of 2 MiB: a shared setting of the machine, raised only as far as needed and given back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
PAGE_BYTES = 2 << 20


class HugepagesMissingError(Exception):
    """The kernel could not give the hugepages asked for."""


def _read(name: str) -> int:
    return int((POOL / name).read_text())


def _write_total(pages: int) -> None:
    (POOL / "nr_hugepages").write_text(str(pages))


@contextmanager
def free_hugepages(needed_bytes: int) -> Iterator[None]:
    """Hold at least `needed_bytes` of free hugepages while the block runs.

    Pages that were added are taken away at the end, also on failure, but never one that is in use.

    Raises:
        HugepagesMissingError: memory is too short or too fragmented.
    """
    needed = -(-needed_bytes // PAGE_BYTES)
    before = _read("nr_hugepages")
    missing = max(0, needed - _read("free_hugepages"))
    added = 0
    try:
        if missing:
            _write_total(before + missing)
            added = _read("nr_hugepages") - before
        if added < missing:
            raise HugepagesMissingError(
                f"{needed} free hugepages of 2 MiB are needed, {needed - missing + added} could be had: "
                "free memory, or measure fewer flows (--flows)"
            )
        yield
    finally:
        if added > 0:
            in_use = _read("nr_hugepages") - _read("free_hugepages") + _read("resv_hugepages")
            _write_total(max(_read("nr_hugepages") - added, in_use))
