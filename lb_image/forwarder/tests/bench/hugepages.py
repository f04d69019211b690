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

    All of them are added, so that none is taken that another program is about to use; a machine that cannot add
    that many may lend free ones. What was added is taken away at the end, also on failure, but no page in use.

    Raises:
        HugepagesMissingError: memory is too short or too fragmented.
    """
    needed = -(-needed_bytes // PAGE_BYTES)
    before = _read("nr_hugepages")
    added = 0
    try:
        _write_total(before + needed)
        added = _read("nr_hugepages") - before
        free = _read("free_hugepages")
        if free < needed:
            raise HugepagesMissingError(
                f"{needed} free hugepages of 2 MiB are needed, {free} could be had: "
                "free memory, or measure fewer flows (--flows)"
            )
        yield
    finally:
        if added > 0:
            in_use = _read("nr_hugepages") - _read("free_hugepages") + _read("resv_hugepages")
            _write_total(max(_read("nr_hugepages") - added, in_use))
