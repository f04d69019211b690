"""Runs frames through ``skylane-fwd-pcap`` and through the reference model, and compares.

A case is a folder ``NNN_name/`` of three files: ``config.json`` ({"about", "base", "listeners", "switches": [{"at_s",
"listeners"}], "drops", "omitted"}), ``send.<port>.pcap`` and ``expect.<port>.pcap``. What is sent is written by ``make packets`` from
``cases.py``; what is expected is what the model makes of it.
"""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model import vlan
from model.canonical import canonical
from model.fullnat import Model
from model.sync import KEY
from model.wire import BROADCAST

Json = dict[str, Any]
RUN_TIMEOUT_S = 120
TICK_US = 100_000
WARM_UP_US = (-300_000, -200_000, -100_000)


@dataclass(order=True)
class Frame:
    """One frame on one port; ``time_us`` is since the epoch."""

    time_us: int
    port: str
    data: bytes


@dataclass
class Case:
    """What goes in: configuration, later configurations by second, frames in order of time."""

    about: str
    base: Json
    listeners: list[Json]
    sent: list[Frame]
    switches: list[tuple[float, list[Json]]] = field(default_factory=list)
    cold: bool = False  # VIPs are probed for at the start; else they are owned from the first frame on


@dataclass
class Outcome:
    """What comes out; what goes to all or to a group apart, since its order within a moment is not fixed."""

    frames: list[Frame]
    drops: dict[str, int]
    omitted: int = 0  # segments that had no room for the client's address

    def requests(self) -> list[Frame]:
        return sorted(f for f in self.frames if is_request(f.data))

    def others(self) -> list[Frame]:
        frames = [f for f in self.frames if not is_request(f.data)]
        return [Frame(f.time_us, f.port, canonical(f.data)) for f in frames]


def is_request(data: bytes) -> bool:
    asks = data[:6] == BROADCAST and vlan.parted(data)[1][12:14] == b"\x08\x06"
    return asks or data[:2] == b"\x33\x33"


def generation(listener: Json) -> Json:
    """The listener with a generation that tells its content."""
    text = json.dumps(listener, sort_keys=True)
    return {**listener, "generation": hashlib.sha256(text.encode()).hexdigest()[:16]}


def write_directory(folder: Path, base: Json, listeners: list[Json]) -> Path:
    """A configuration directory as the agent would write it."""
    (folder / "listeners").mkdir(parents=True)
    if "sync" in base:
        base = {**base, "sync": {**base["sync"], "key_file": str(folder / "key")}}
        (folder / "key").write_text(KEY.hex() + "\n")
    (folder / "base.json").write_text(json.dumps({**base, "generation": "0" * 16}))
    for listener in listeners:
        (folder / "listeners" / f"{listener['name']}.json").write_text(json.dumps(generation(listener)))
    return folder


def write_pcap(path: Path, frames: list[Frame]) -> None:
    """Classic pcap, microseconds, Ethernet."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            seconds, micros = divmod(frame.time_us, 1_000_000)
            out.write(struct.pack("<IIII", seconds, micros, len(frame.data), len(frame.data)) + frame.data)


def read_pcap(path: Path, port: str) -> list[Frame]:
    """What write_pcap() or libpcap wrote."""
    data, at, frames = path.read_bytes(), 24, []
    while at < len(data):
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, at)
        frames.append(Frame(seconds * 1_000_000 + micros, port, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return frames


def port_names(case: Case) -> list[str]:
    return [port["name"] for port in case.base["ports"]]


def run_shell(binary: Path, case: Case, scratch: Path) -> Outcome:
    """The forwarder's word. Raises CalledProcessError when it fails, its output in the notes."""
    command = [str(binary), "--stats", "--config-dir", str(scratch / "start")]
    write_directory(scratch / "start", case.base, case.listeners)
    for name in port_names(case):
        write_pcap(scratch / f"in.{name}.pcap", [f for f in case.sent if f.port == name])
        command += ["--port", f"{name}={scratch}/in.{name}.pcap:{scratch}/out.{name}.pcap"]
    command += ["--cold"] if case.cold else []
    for number, (at_s, listeners) in enumerate(case.switches):
        folder = write_directory(scratch / f"switch{number}", case.base, listeners)
        command += ["--at", f"{at_s}={folder}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {result.returncode}\n{result.stderr}")
    frames = [f for name in port_names(case) for f in read_pcap(scratch / f"out.{name}.pcap", name)]
    stats = json.loads(result.stdout)
    drops = {reason: n for reason, n in stats["drops"].items() if n}
    return Outcome(sorted_by_time(frames), drops, stats["client_address"]["omitted"])


def sorted_by_time(frames: list[Frame]) -> list[Frame]:
    """By time and port; frames of one port and time stay in order."""
    return sorted(frames, key=lambda f: (f.time_us, f.port))


def run_model(case: Case) -> Outcome:
    """The reference model's word."""
    model, names = Model(case.base, case.listeners), port_names(case)
    out: list[Frame] = []
    start_us = case.sent[0].time_us
    for at_us in () if case.cold else WARM_UP_US:
        model.run_sync(at_us // 1000)
        model.vips.visit(at_us // 1000)
    events = steps(case)
    for sent in in_order(case.sent, names):
        while events and (events[0][0], events[0][1] is None) <= (sent.time_us - start_us, False):
            at_us, listeners = events.pop(0)
            model.now_ms = at_us // 1000
            if listeners is not None:
                model.load(listeners)
                continue
            model.run_sync(model.now_ms)
            out += [Frame(start_us + at_us, names[port], data) for port, data in model.look_after_vips()]
        model.now_ms = (sent.time_us - start_us) // 1000
        for port, data in model.tick((sent.time_us - start_us) // 1_000_000):
            out.append(Frame(sent.time_us, names[port], data))
        result = model.process(names.index(sent.port), sent.data)
        if result:
            out.append(Frame(sent.time_us, names[result[0]], result[1]))
    return Outcome(sorted_by_time(out), dict(model.drops), model.omitted)


def steps(case: Case) -> list[tuple[int, list[Json] | None]]:
    """What the shell does of itself, by microsecond from the first frame: new listeners, and between them a look at the VIPs."""
    length_us = max(frame.time_us for frame in case.sent) - case.sent[0].time_us
    ticks: list[tuple[int, list[Json] | None]] = [(at_us, None) for at_us in range(0, length_us + 1, TICK_US)]
    switches: list[tuple[int, list[Json] | None]] = [(round(at_s * 1e6), one) for at_s, one in case.switches]
    return sorted(switches + ticks, key=lambda step: step[0])


def in_order(frames: list[Frame], names: list[str]) -> Iterator[Frame]:
    """As the shell takes them: by time, then by port of base.json."""
    return iter(sorted(frames, key=lambda f: (f.time_us, names.index(f.port))))


def assert_equal(got: Outcome, want: Outcome) -> None:
    """Same frames, same drops; the first difference is shown in hex."""
    assert got.drops == want.drops
    assert got.omitted == want.omitted
    for ours, theirs in zip(got.others(), want.others(), strict=False):
        assert (ours.time_us, ours.port, ours.data.hex()) == (theirs.time_us, theirs.port, theirs.data.hex())
    assert len(got.others()) == len(want.others())
    assert got.requests() == want.requests()
