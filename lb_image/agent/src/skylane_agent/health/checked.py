"""A listener that has a health check: what the operator wants of it, and the file that the forwarder gets. Pure.

The file's generation is the operator's with a suffix that stands for the backends that lost their weight. Every such file
has one: where no record is beside it, the check is lost and the listener is asked for again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from skylane_agent.health.check import Check, Endpoint, Target, check_in
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

Json = dict[str, Any]
Sick = Mapping[Endpoint, str]  # to the reason

RECORD_VERSION = 1
MARK = "-"  # before the suffix
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """`listener` is its file as the operator wants it, with every weight.

    What drains is not probed: it closes its port when it likes, and that is no failure to tell anybody of.
    """

    listener: Json
    check: Check
    panic_threshold_percent: int
    sick: Sick
    draining: frozenset[Endpoint] = frozenset()

    @property
    def generation(self) -> str:
        """The operator's."""
        return str(self.listener["generation"])

    @property
    def endpoints(self) -> list[Endpoint]:
        """Its backends that are checked, in the operator's order."""
        every = map(_endpoint, self.listener["backends"])
        return [one for one in every if one not in self.draining]

    def target(self, endpoint: Endpoint) -> Target:
        """What is probed for a backend."""
        return Target(Endpoint(endpoint.address, self.check.port or endpoint.port), self.check)

    def with_sick(self, sick: Sick) -> "Checked":
        """The same with other sick ones; those that are not checked are left out."""
        present = set(self.endpoints)
        return replace(self, sick={one: reason for one, reason in sick.items() if one in present})

    @property
    def panic(self) -> bool:
        """Whether so few of the backends that have a weight are healthy that the check is not believed."""
        weighted = [_endpoint(backend) for backend in self.listener["backends"] if backend["weight"]]
        healthy = sum(one not in self.sick for one in weighted)
        return healthy < len(weighted) and healthy * 100 <= self.panic_threshold_percent * len(weighted)

    def file(self) -> Json:
        """The forwarder's file: sick backends have the weight 0, but in a panic."""
        left_out = {} if self.panic else self.sick
        backends = [
            {**backend, "weight": 0} if _endpoint(backend) in left_out else backend
            for backend in self.listener["backends"]
        ]
        generation = f"{self.generation}{MARK}{_digest_of(left_out)}"
        return {**self.listener, "generation": generation, "backends": backends}

    def record(self) -> Json:
        """What a later agent has to know."""
        return {
            "version": RECORD_VERSION,
            "listener": self.listener,
            "check": self.check.model_dump(mode="json"),
            "panic_threshold_percent": self.panic_threshold_percent,
            "sick": [
                {"address": one.address, "port": one.port, "reason": reason}
                for one, reason in self.sick.items()
            ],
            "draining": [{"address": one.address, "port": one.port} for one in sorted(self.draining)],
        }


def checked_in(message: pb.Listener, file: Json, sick: Sick) -> Checked:
    """A listener's check as it comes, with its `file`; of the sick ones those that are still checked.

    Raises ValueError for a check that this agent does not know.
    """
    check = message.health_check
    draining = frozenset(Endpoint(one.address, one.port) for one in message.backends if one.draining)
    return Checked(file, check_in(check), check.panic_threshold_percent, {}, draining).with_sick(sick)


def checked_from(record: Json) -> Checked:
    """Read a record. Raises ValueError (of Pydantic) for one of another form."""
    read = _Record.model_validate(record)
    draining = frozenset(Endpoint(one.address, one.port) for one in read.draining)
    checked = Checked(record["listener"], read.check, read.panic_threshold_percent, {}, draining)
    return checked.with_sick({Endpoint(one.address, one.port): one.reason for one in read.sick})


def _endpoint(backend: Json) -> Endpoint:
    return Endpoint(backend["address"], backend["port"])


def _digest_of(endpoints: Sick) -> str:
    text = "\n".join(sorted(map(str, endpoints)))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Backend(_Read):
    address: str
    port: int
    weight: int


class _Listener(_Read):
    name: str
    generation: str
    backends: tuple[_Backend, ...]


class _SickOne(_Read):
    address: str
    port: int
    reason: str


class _DrainingOne(_Read):
    address: str
    port: int


class _Record(_Read):
    version: int
    listener: _Listener
    check: Check
    panic_threshold_percent: int
    sick: tuple[_SickOne, ...]
    draining: tuple[_DrainingOne, ...] = ()  # records of older agents have none
