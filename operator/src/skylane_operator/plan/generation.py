"""Generations: digests of content (docs/design/generations.md)."""

import hashlib
import json
from typing import TypeVar

from skylane_operator.model.forwarder import ForwarderBase, ForwarderListener

File = TypeVar("File", ForwarderBase, ForwarderListener)

_DIGITS = 16


def digest_of(content: object) -> str:
    """16 hex digits of the SHA-256 of the canonical JSON (sorted keys, no white space) of `content`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def with_generation(file: File) -> File:
    """The same content with its generation filled in: the digest of everything that is set, but the generation."""
    content = file.model_dump(mode="json", exclude={"generation"}, exclude_none=True)
    return file.model_copy(update={"generation": digest_of(content)})
