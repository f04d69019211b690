"""The listeners on disk, and with them the health checks of those that have one.

A check's record is written before its listener's file and removed after it: whoever is killed in between, the file's generation
tells whether the record beside it is the one that it was made from.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from skylane_agent.config_dir import ConfigDir, Json, OnDisk, Saved, on_disk_of
from skylane_agent.config_files import base_file, listener_file
from skylane_agent.health.checked import MARK, Checked, Sick, checked_from, checked_in
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

log = logging.getLogger(__name__)

Failures = dict[str, str]  # listener to reason
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Undo:
    """What listeners were before a delta."""

    saved: Mapping[str, Saved]
    on_disk: Mapping[str, OnDisk]
    checked: Mapping[str, Checked]


class ListenerFiles:
    """`on_disk` holds what their files say, `checked` those with a check, `unwritten` what has no room or may not be written.

    Not for use by two callers at once; a reader in another thread finds either map whole, since it is replaced, never changed.
    """

    def __init__(self, config_dir: ConfigDir) -> None:
        self._config_dir = config_dir
        self.on_disk: Mapping[str, OnDisk] = {}
        self.checked: Mapping[str, Checked] = {}
        self.unwritten = pb.Delta()

    def reported(self, name: str, generation: str) -> str:
        """The operator's generation of what runs; empty for a listener whose check is lost, so that it is sent again."""
        wanted, mark, _ = generation.partition(MARK)
        return "" if mark and name not in self.checked else wanted

    def prepare(self) -> None:
        """Begin with what an earlier agent left. Raises ConfigDirError."""
        self._config_dir.prepare()
        self.read()
        self._read_checks()

    def read(self) -> None:
        """Look what is on disk. Raises ConfigDirError."""
        self.on_disk = self._config_dir.listeners()

    def _read_checks(self) -> None:
        records = self._config_dir.checks()
        read = {name: _checked_of(name, record) for name, record in records.items()}
        self.checked = {
            name: one
            for name, one in read.items()
            if one is not None
            and self.on_disk.get(name, OnDisk()).generation.startswith(one.generation + MARK)
        }
        self._config_dir.remove_checks(records.keys() - self.checked.keys())
        # For an agent that was killed between record and file.
        failures = self._config_dir.write_listeners(one.file() for one in self.checked.values())
        for name, reason in failures.items():
            log.error("listener %s: its unhealthy backends are not on disk: %s", name, reason)
        self.read()

    def write(self, delta: pb.Delta) -> tuple[Failures, Undo]:
        """Write a delta. Listeners before the base: a forwarder that waits for it then starts with all of them."""
        checked, failures = self._checks_in(delta)
        refused = set(failures)
        upserts = {one.name: one for one in delta.upserts if one.name not in failures}
        undo = Undo(self._config_dir.saved(upserts), self.on_disk, self.checked)
        failures |= self._config_dir.write_checks({name: one.record() for name, one in checked.items()})
        files = [
            checked[name].file() if name in checked else listener_file(one)
            for name, one in upserts.items()
            if name not in failures
        ]
        failures |= self._config_dir.remove_listeners(delta.removals)
        failures |= self._config_dir.write_listeners(files)
        done = {name for name in (*upserts, *delta.removals) if name not in failures}
        self._config_dir.remove_checks(done - checked.keys())
        self._become(done, {file["name"]: on_disk_of(file) for file in files}, checked)
        self._remember(delta, failures.keys() - refused, base_written=self._write_base(delta))
        return failures, undo

    def _write_base(self, delta: pb.Delta) -> bool:
        reason = self._config_dir.write_base(base_file(delta.base)) if delta.HasField("base") else None
        if reason:
            log.error("base generation %s is not on disk: %s", delta.base.generation, reason)
        return not reason

    def _remember(self, delta: pb.Delta, failed: Collection[str], *, base_written: bool) -> None:
        """Keep what of a delta is not on disk, and of earlier ones what it does not speak of."""
        named = {one.name for one in delta.upserts} | set(delta.removals)
        before = self.unwritten
        upserts = [one for one in before.upserts if one.name not in named]
        removals = [name for name in before.removals if name not in named]
        latest = delta if delta.HasField("base") else before
        self.unwritten = pb.Delta(
            upserts=[*upserts, *(one for one in delta.upserts if one.name in failed)],
            removals=[*removals, *(name for name in delta.removals if name in failed)],
            base=latest.base if latest.HasField("base") and not (latest is delta and base_written) else None,
        )

    def _checks_in(self, delta: pb.Delta) -> tuple[dict[str, Checked], Failures]:
        checked: dict[str, Checked] = {}
        failures: Failures = {}
        for listener in delta.upserts:
            if not listener.HasField("health_check"):
                continue
            before = self.checked.get(listener.name)
            try:
                checked[listener.name] = checked_in(
                    listener, listener_file(listener), before.sick if before else {}
                )
            except ValueError as error:
                failures[listener.name] = f"health_check: {error}"
        return checked, failures

    def _become(
        self, names: Collection[str], on_disk: Mapping[str, OnDisk], checked: Mapping[str, Checked]
    ) -> None:
        """Make the names what the maps tell of them; a name that a map does not tell of is not there any more."""
        self.on_disk = _replaced(self.on_disk, names, on_disk)
        self.checked = _replaced(self.checked, names, checked)

    def put_back(self, undo: Undo, names: Iterable[str]) -> None:
        """Make these listeners what they were before."""
        known = [name for name in names if name in undo.saved]
        for name, reason in self._config_dir.put_back({name: undo.saved[name] for name in known}).items():
            log.error("listener %s: its last good file cannot be put back: %s", name, reason)
        self._become(known, undo.on_disk, undo.checked)

    def mark(self, sick: Mapping[str, Sick]) -> Failures:
        """Write which backends are sick, by listener."""
        new = {name: self.checked[name].with_sick(who) for name, who in sick.items() if name in self.checked}
        failures = self._config_dir.write_checks({name: one.record() for name, one in new.items()})
        files = [one.file() for name, one in new.items() if name not in failures]
        failures |= self._config_dir.write_listeners(files)
        done = new.keys() - failures.keys()
        self._become(done, {file["name"]: on_disk_of(file) for file in files}, new)
        return failures


def _replaced(old: Mapping[str, Value], names: Collection[str], new: Mapping[str, Value]) -> dict[str, Value]:
    kept = {name: value for name, value in old.items() if name not in names}
    return kept | {name: new[name] for name in names if name in new}


def _checked_of(name: str, record: Json | None) -> Checked | None:
    if record is None:
        return None
    try:
        return checked_from(record)
    except ValueError as error:
        log.warning("listener %s: the record of its health check is of another form: %s", name, error)
        return None
