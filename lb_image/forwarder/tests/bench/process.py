"""A measured program: its start, the CPU time of its worker threads, its end."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

# DPDK 22.11 names a worker rte-worker-1, 24.11 dpdk-worker1.
WORKER_NAME = re.compile(r"(rte|dpdk)-worker-?\d+")
STOP_TIMEOUT_S = 20.0
Answer = TypeVar("Answer")


class BenchError(Exception):
    """The bench cannot give a true figure; the message says why."""


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in `log`; stop it with SIGTERM, then SIGKILL, at the end of the block."""
    with log.open("wb") as output:
        # testpmd ends when its standard input does, so the pipe stays open.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def log_tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def wait_until(
    ask: Callable[[], Answer | None], process: subprocess.Popen[bytes], log: Path, timeout_s: float
) -> Answer:
    """Return the first answer of `ask` that is not None.

    Raises:
        BenchError: the program ended, or gave no answer within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if answer is not None:
            return answer
        if process.poll() is not None:
            raise BenchError(f"{process.args!r} ended with {process.returncode}:\n{log_tail(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{process.args!r} is not ready after {timeout_s:g} s:\n{log_tail(log)}")
        time.sleep(0.01)


def thread_names(pid: int) -> dict[Path, str]:
    """Return the names of a program's threads by their /proc folder, without those that end meanwhile."""
    names = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            names[task] = (task / "comm").read_text().strip()
    return names


def worker_threads(pid: int, count: int = 1) -> list[Path]:
    """Return the /proc folders of the program's worker threads.

    Raises:
        BenchError: it has more or fewer.
    """
    names = thread_names(pid)
    workers = [task for task, name in names.items() if WORKER_NAME.fullmatch(name)]
    if len(workers) != count:
        raise BenchError(f"{count} worker thread(s) expected, the threads are {sorted(names.values())}")
    return workers


def on_cpu_ns(task: Path) -> int:
    """Return the time a thread has spent on a CPU: first field of schedstat, renewed each tick."""
    return int((task / "schedstat").read_text().split()[0])
