"""The forwarder's configuration directory: complete and valid at any instant, whatever is killed when.

A file appears by rename of a temporary one in the same folder, after its bytes are on disk. Temporary names
begin with a dot: the forwarder passes over them, and the next agent removes those that a killed one left.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skylane_agent.errors import ConfigDirError

Json = dict[str, Any]

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def is_listener_name(name: str) -> bool:
    """Whether `name` is a DNS label (RFC 1123), which is all that may become part of a path."""
    return _DNS_LABEL.fullmatch(name) is not None


class ConfigDir:
    """`base.json` and `listeners/<name>.json` under `path`. Not for use by two writers at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listeners = path / "listeners"
        self._base = path / "base.json"

    def prepare(self) -> None:
        """Create the folders, remove what a killed agent left half written. Raises ConfigDirError."""
        try:
            self._listeners.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigDirError(_reason(error, self.path)) from error
        for folder in (self.path, self._listeners):
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

    def contents(self, names: Iterable[str]) -> dict[str, bytes | None]:
        """Files of listeners as they are; None where there is none that can be read."""
        return {name: _content(self._file(name)) for name in names if is_listener_name(name)}

    def put_back(self, contents: Mapping[str, bytes | None]) -> dict[str, str]:
        """Make files what `contents` told of them; by name, the reasons why one is not."""
        failures = {}
        for name, content in contents.items():
            file = self._file(name)
            reason = _removal_failure(file) if content is None else _content_failure(file, content)
            if reason:
                failures[name] = reason
        return failures

    def generations(self) -> dict[str, str]:
        """Map every listener on disk to its generation; empty for a file that cannot be read.

        Raises ConfigDirError if the folder itself cannot be read.
        """
        try:
            files = sorted(self._listeners.iterdir())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigDirError(_reason(error, self._listeners)) from error
        return {file.stem: _generation(file) for file in files if _is_listener_file(file)}

    def _file(self, name: str) -> Path:
        return self._listeners / f"{name}.json"


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


def _generation(file: Path) -> str:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return ""
    generation = content.get("generation") if isinstance(content, dict) else None
    return generation if isinstance(generation, str) else ""


def _reason(error: OSError, path: Path) -> str:
    return f"{error.filename or path}: {error.strerror or error}"
