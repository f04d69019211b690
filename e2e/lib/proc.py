"""Commands and long-running processes, with errors that say what was run and what it answered."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class CommandError(Exception):
    """A command ended with a status other than zero, or ran out of time.

    ``output`` is all that it wrote, for a log; the message has the end of it.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def run(
    *command: str | Path,
    timeout_s: float = 120,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
) -> str:
    """What the command wrote to standard output.

    Raises:
        CommandError: the status was not zero or ``timeout_s`` passed; it carries the end of both outputs.

    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise CommandError(f"{' '.join(words)}: no end after {timeout_s:g} s") from expired
    if done.returncode != 0:
        said = (done.stdout[-1000:] + done.stderr[-2000:]).strip()
        raise CommandError(f"{' '.join(words)}: status {done.returncode}: {said}", done.stdout + done.stderr)
    return done.stdout


def succeeds(*command: str | Path, timeout_s: float = 120) -> bool:
    """Whether the command ends with status zero; for questions, not for actions."""
    try:
        run(*command, timeout_s=timeout_s)
    except CommandError:
        return False
    return True


def wait_until(condition: Callable[[], object], what: str, timeout_s: float, interval_s: float = 0.1) -> None:
    """Poll ``condition`` until it is true.

    Raises:
        TimeoutError: it was not true within ``timeout_s``; the message names ``what``.

    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:g} s still waiting for {what}")
        time.sleep(interval_s)


def start_time_of(pid: int) -> int | None:
    """Clock ticks after boot at which the process started (proc(5), field 22); None when there is none.

    A process whose first thread has ended is a zombie while its other threads end; it is there until the last
    has, since until then it holds its files and mounts.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    state, threads = fields[0], int(fields[17])
    return None if state == "Z" and threads <= 1 else int(fields[19])


@dataclass(frozen=True)
class Process:
    """A process by its id and start time, so that a reused id is never taken for it."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> Process:
        started = start_time_of(pid)
        if started is None:
            raise ProcessLookupError(f"process {pid} ended at once")
        return cls(pid, started)

    @classmethod
    def read(cls, file: Path) -> Process | None:
        """The process recorded in ``file``, whether it still runs or not; None without a record."""
        try:
            pid, started = file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return cls(int(pid), int(started))

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{self.pid} {self.start_time}\n")

    @property
    def alive(self) -> bool:
        return start_time_of(self.pid) == self.start_time

    def send(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def stop(self, timeout_s: float = 10) -> None:
        """Terminate, then kill, and return when it is gone."""
        self.send(signal.SIGTERM)
        try:
            wait_until(self._gone, f"process {self.pid} to end", timeout_s, interval_s=0.02)
        except TimeoutError:
            self.send(signal.SIGKILL)
            wait_until(self._gone, f"killed process {self.pid} to end", timeout_s)

    def _gone(self) -> bool:
        # A child of ours stays a zombie until it is waited for; a child of others answers ChildProcessError.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return not self.alive


def start(command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> Process:
    """Start a process that outlives this one, in a session of its own, with both outputs in ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if env is None else {**os.environ, **env},
        )
    # Its life is not bound to this object: the record of pid and start time takes over.
    child.returncode = 0
    return Process.of(child.pid)


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return f"{log}: no such log"
    return "\n".join([f"{log}:", *log.read_text(errors="replace").splitlines()[-lines:]])
