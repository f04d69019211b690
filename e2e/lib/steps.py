"""One line a step, with its elapsed time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print ``title`` and how long the block took, or that it failed."""
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(f"FAILED {time.monotonic() - started:6.1f} s  {title}", flush=True)
        raise
    print(f"ok     {time.monotonic() - started:6.1f} s  {title}", flush=True)
