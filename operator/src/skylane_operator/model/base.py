"""The two kinds of models: what a user writes to us (strict) and what we read of others (tolerant)."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class SpecModel(BaseModel):
    """Part of our own resource: an unknown field is a mistake of the user and is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)


class ReadModel(BaseModel):
    """Part of an API object that somebody else defines: fields that we do not use are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True)


class FileModel(BaseModel):
    """Part of a file of the forwarder: the field names here are the names in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
