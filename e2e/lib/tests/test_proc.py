"""Processes of tests: when they are gone."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.proc import Process, start, wait_until

LEADER_ENDS_FIRST = """
import ctypes, platform, threading

threading.Thread(target=threading.Event().wait).start()
SYS_EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]
ctypes.CDLL(None).syscall(SYS_EXIT, 0)
"""


def wait_for_zombie(process: Process) -> None:
    stat = Path(f"/proc/{process.pid}/stat")
    wait_until(
        lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "the first thread to end", 10, 0.01
    )


@pytest.fixture
def without_leader(tmp_path: Path) -> Iterator[Process]:
    """A process whose first thread has ended while another goes on, as when a process of many threads is ending."""
    process = start([sys.executable, "-c", LEADER_ENDS_FIRST], tmp_path / "log")
    try:
        wait_for_zombie(process)
        yield process
    finally:
        process.stop()


def test_a_process_lives_until_its_last_thread_is_gone(without_leader: Process) -> None:
    assert without_leader.alive


def test_stop_returns_when_the_last_thread_is_gone(without_leader: Process) -> None:
    """What its threads hold (files, mounts, devices) can be used again then."""
    without_leader.stop()
    assert not Path(f"/proc/{without_leader.pid}").exists()


def test_a_process_that_nobody_waited_for_is_not_alive(tmp_path: Path) -> None:
    process = start(["sleep", "60"], tmp_path / "log")
    process.send(signal.SIGKILL)
    wait_for_zombie(process)
    assert not process.alive
    process.stop()
