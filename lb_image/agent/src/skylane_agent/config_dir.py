"""The forwarder's configuration directory: complete and valid at any instant, whatever is killed when.

A file appears by rename of a temporary one in the same folder, after its bytes are on disk. Temporary names
begin with a dot: the forwarder passes over them, and the next agent removes those that a killed one left.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from skylane_agent.errors import ConfigDirError

Json = dict[str, Any]

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def is_listener_name(name: str) -> bool:
    """Whether `name` is a DNS label (RFC 1123), which is all that may become part of a path."""
    return _DNS_LABEL.fullmatch(name) is not None


class OnDisk(NamedTuple):
    """What a listener's file says, as far as it matters here; all empty for a file that cannot be read.

    `usable` tells whether a backend has a weight: whether a new connection would find one. `arp`: the VIP is granted to this pod,
    as it is where the file does not say.
    """

    generation: str = ""
    vip: str = ""
    usable: bool = False
    arp: bool = False


class NicAddresses(NamedTuple):
    """Of the pod's first NIC; `ipv6` is empty if it has none."""

    ipv4: str
    ipv6: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """Files of one listener as they were; None where there was none that could be read."""

    listener: bytes | None
    check: bytes | None


class ConfigDir:
    """`base.json`, `listeners/<name>.json` and, of the agent alone, `health/<name>.json` under `path`.

    Not for use by two writers at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listeners = path / "listeners"
        self._checks = path / "health"
        self._base = path / "base.json"

    def prepare(self) -> None:
        """Create the folders, remove what a killed agent left half written. Raises ConfigDirError."""
        try:
            self._listeners.mkdir(parents=True, exist_ok=True)
            self._checks.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigDirError(_reason(error, self.path)) from error
        for folder in (self.path, self._listeners, self._checks):
            for left_over in folder.glob(".*.tmp"):
                _removal_failure(left_over)  # one that stays does no harm

    def write_base(self, base: Json) -> str | None:
        """Replace base.json; None, or the reason why it stays as it was."""
        return _write_failure(self._base, base)

    def write_listeners(self, listeners: Iterable[Json]) -> dict[str, str]:
        """Replace the files of whole listeners; by name, the reasons why a file stays as it was."""
        failures = {}
        for listener in listeners:
            name = listener["name"]
            reason = _refusal(name) or _write_failure(self._file(name), listener)
            if reason:
                failures[name] = reason
        return failures

    def remove_listeners(self, names: Iterable[str]) -> dict[str, str]:
        """Remove listeners' files, also when there is none; by name, the reasons why one is still there."""
        failures = {}
        for name in names:
            reason = _refusal(name) or _removal_failure(self._file(name))
            if reason:
                failures[name] = reason
        return failures

    def write_checks(self, records: Mapping[str, Json]) -> dict[str, str]:
        """Replace the records of listeners' health checks; by name, the reasons why one stays as it was."""
        failures = {}
        for name, record in records.items():
            reason = _refusal(name) or _write_failure(self._check(name), record)
            if reason:
                failures[name] = reason
        return failures

    def remove_checks(self, names: Iterable[str]) -> None:
        """Remove records, also where there is none. One that stays does no harm: its listener has another generation."""
        for name in names:
            if is_listener_name(name) and self._check(name).exists():
                _removal_failure(self._check(name))

    def checks(self) -> dict[str, Json | None]:
        """Every record by the name of its listener; None for one that cannot be read. Raises ConfigDirError."""
        return {file.stem: _object_in(file) for file in _files_in(self._checks)}

    def saved(self, names: Iterable[str]) -> dict[str, Saved]:
        """Files of listeners as they are."""
        return {
            name: Saved(_content(self._file(name)), _content(self._check(name)))
            for name in names
            if is_listener_name(name)
        }

    def put_back(self, saved: Mapping[str, Saved]) -> dict[str, str]:
        """Make files what `saved` told of them; by name, the reasons why one is not."""
        failures = {}
        for name, files in saved.items():
            reasons = [
                _removal_failure(file) if content is None else _content_failure(file, content)
                for file, content in ((self._check(name), files.check), (self._file(name), files.listener))
            ]
            for reason in filter(None, reasons):
                failures[name] = reason
        return failures

    def listeners(self) -> dict[str, OnDisk]:
        """Every listener on disk. Raises ConfigDirError if the folder itself cannot be read."""
        return {file.stem: _read_from(file) for file in _files_in(self._listeners)}

    def nic(self) -> NicAddresses | None:
        """The addresses of the pod's first NIC, by base.json; None while there is none."""
        try:
            port = (_object_in(self._base) or {})["ports"][0]
            found = [port["address"], port.get("address6", "")]
            return NicAddresses(*(address.partition("/")[0] for address in found))
        except (AttributeError, IndexError, KeyError, TypeError):
            return None

    def syncs(self) -> bool | None:
        """Whether base.json has the pod know others' flows; None while there is no base.json."""
        base = _object_in(self._base)
        return None if base is None else "sync" in base

    def _file(self, name: str) -> Path:
        return self._listeners / f"{name}.json"

    def _check(self, name: str) -> Path:
        return self._checks / f"{name}.json"


def _files_in(folder: Path) -> list[Path]:
    try:
        return [file for file in sorted(folder.iterdir()) if _is_listener_file(file)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigDirError(_reason(error, folder)) from error


def _is_listener_file(file: Path) -> bool:
    return file.suffix == ".json" and is_listener_name(file.stem)


def _refusal(name: str) -> str | None:
    if is_listener_name(name):
        return None
    return "name must be a DNS label: a-z, 0-9 and -, at most 63 characters"


def _write_failure(file: Path, content: Mapping[str, Any]) -> str | None:
    return _content_failure(file, (json.dumps(content, indent=1) + "\n").encode())


def _content_failure(file: Path, content: bytes) -> str | None:
    try:
        _replace(file, content)
    except OSError as error:
        return _reason(error, file)
    return None


def _removal_failure(file: Path) -> str | None:
    try:
        file.unlink(missing_ok=True)
        _sync_folder(file.parent)
    except OSError as error:
        return _reason(error, file)
    return None


def _replace(file: Path, content: bytes) -> None:
    """Put `content` into `file` so that a reader, or a crash, sees all of it or all of what was there."""
    if _content(file) == content:
        return
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _object_in(file: Path) -> Json | None:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _read_from(file: Path) -> OnDisk:
    content = _object_in(file)
    try:
        return on_disk_of(content) if content is not None else OnDisk()
    except (KeyError, TypeError):
        return OnDisk()


def on_disk_of(listener: Json) -> OnDisk:
    """What is on disk once the file of a listener is. Raises KeyError or TypeError for what is no such file."""
    return OnDisk(
        str(listener["generation"]),
        str(listener["vip"]),
        any(backend["weight"] > 0 for backend in listener["backends"]),
        bool(listener.get("arp", True)),
    )


def _reason(error: OSError, path: Path) -> str:
    return f"{error.filename or path}: {error.strerror or error}"
