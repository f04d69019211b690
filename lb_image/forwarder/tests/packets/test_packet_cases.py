"""Packet cases and random runs: the forwarder's core against the reference model, through the pcap shell."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest

from packets.cases import named
from packets.harness import Case, Outcome, assert_equal, port_names, read_pcap, run_model, run_shell
from packets.randomised import random_case, replayed
from packets.randomised6 import random_case_of_both
from packets.vlans import moved_into_vlan

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[3]
# Of each kind, of 52,000 steps: a million in all.
RANDOM_RUNS = int(os.environ.get("SKYLANE_RANDOM_RUNS", "10"))


def binaries() -> list[Path]:
    """The plain build and, where there is one, the build with sanitizers."""
    builds = [REPOSITORY / "build" / name for name in ("fwd", "fwd-asan")]
    return [build / "pcap" / "skylane-fwd-pcap" for build in builds if build == builds[0] or build.exists()]


@pytest.fixture(params=binaries(), ids=lambda path: path.parents[1].name)
def binary(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    assert path.exists(), (
        f"{path} is not built: meson setup build/fwd lb_image/forwarder && ninja -C build/fwd"
    )
    return path


def read_case(folder: Path) -> tuple[Case, Outcome]:
    config = json.loads((folder / "config.json").read_text())
    switches = [(s["at_s"], s["listeners"]) for s in config["switches"]]
    case = Case(config["about"], config["base"], config["listeners"], [], switches, config.get("cold", False))
    expected = Outcome([], config["drops"], config.get("omitted", 0))
    for port in port_names(case):
        case.sent += read_pcap(folder / f"send.{port}.pcap", port)
        expected.frames += read_pcap(folder / f"expect.{port}.pcap", port)
    expected.frames.sort(key=lambda f: (f.time_us, f.port))
    return case, expected


@pytest.mark.parametrize("folder", sorted(FOLDER.glob("[0-9]*_*")), ids=lambda folder: folder.name)
def test_case(folder: Path, binary: Path, tmp_path: Path) -> None:
    case, expected = read_case(folder)
    assert_equal(run_shell(binary, case, tmp_path), expected)


def test_folders_are_what_make_packets_writes() -> None:
    cases = named()
    assert sorted(cases) == sorted(folder.name for folder in FOLDER.glob("[0-9]*_*"))
    for name, case in cases.items():
        stored, expected = read_case(FOLDER / name)
        assert stored.listeners == case.listeners, name
        assert sorted(stored.sent) == sorted(case.sent), name
        assert_equal(expected, run_model(case))


def drop_reasons() -> list[tuple[str, str]]:
    """Name and help of each, as the forwarder has them."""
    header = (REPOSITORY / "lb_image/forwarder/core/drop_reason.h").read_text().replace("\\\n", " ")
    return re.findall(r'X\(\s*[A-Z_0-9]+,\s*"(\w+)",\s*"([^"]+)"', header)


def test_every_drop_reason_is_in_the_docs() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \|$", (REPOSITORY / "docs/drop-reasons.md").read_text(), re.MULTILINE
    )
    assert rows == drop_reasons()


def test_every_drop_reason_of_the_core_has_a_case() -> None:
    reasons = {name for name, _ in drop_reasons()}
    assert len(reasons) > 20
    seen = {r for f in FOLDER.glob("[0-9]*_*") for r in json.loads((f / "config.json").read_text())["drops"]}
    # Two are the DPDK shell's: a pcap file takes everything. Two need more frames than a file should hold: worker_test.c.
    shell, unit = {"tx_full", "handover_full"}, {"neighbour_table_full", "local_ports_exhausted"}
    assert reasons - seen == shell | unit


def check_on_every_build(case: Case, scratch: Path) -> None:
    """One word of the model for all builds: it takes longer than they."""
    want = run_model(case)
    for binary in binaries():
        (folder := scratch / binary.parents[1].name).mkdir()
        assert_equal(run_shell(binary, case, folder), want)


def perhaps_in_vlan(case: Case, rng: random.Random, seed: int) -> Case:
    """Every third run on a port with a VLAN."""
    return moved_into_vlan(case, rng) if seed % 3 == 2 else case


@pytest.mark.parametrize("seed", range(RANDOM_RUNS))
def test_random_packets_and_generations(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    case = perhaps_in_vlan(random_case(rng), rng, seed)
    check_on_every_build(replayed(case, rng), tmp_path)


@pytest.mark.parametrize("seed", range(RANDOM_RUNS))
def test_random_packets_of_both_families(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    case = perhaps_in_vlan(random_case_of_both(rng), rng, seed)
    check_on_every_build(replayed(case, rng), tmp_path)
