"""Where the fuzz targets start: the frames of the packet cases, the configurations of the tests, the commands of the contract."""

from __future__ import annotations

import json
from pathlib import Path

from packets.harness import read_pcap

TESTS = Path(__file__).parents[1]
CONFIG_TESTDATA = TESTS.parent / "config" / "testdata"
# Steps of fuzz_packets.c: a frame, as it is, last of its burst; the bits that it may carry; time goes on.
FRAME, SECOND_PORT, FIX, TIME = 64, 4, 8 | 16 | 32, 2
# Its first byte.
SMALL_MTU, TWO_PORTS, SYNC, HEADERS, TAGGED = 2, 4, 8, 32, 128
VLAN = 100
SMALL_MTU_BYTES = 600
FRAME_MAX = 2048
COMMANDS = (
    {"command": "status"},
    {"command": "stats"},
    {"command": "load"},
    {"command": "load", "listeners": ["web", "dns"]},
    {"command": "flows", "limit": 10, "listener": "web"},
    {"command": "flows"},
    {
        "command": "flows",
        "protocol": "tcp",
        "state": "established",
        "client_address": "192.0.2.0/24",
        "client_port": 1,
        "vip": "2001:db8::1",
        "vip_port": 80,
        "backend_address": "::/0",
        "backend_port": 9,
        "idle_s_min": 5,
    },
    {"command": "trace", "protocol": "udp", "client_address": "192.0.2.1", "client_port": 4, "seconds": 9},
    {"command": "trace"},
    {"command": "gateways"},
    {"command": "leave"},
    {"command": "backends", "listener": "web"},
    {"command": "unknown"},
    {"command": "load", "listeners": "web"},
)


def packet_seed(case: Path, *, fix: bool) -> bytes:
    """The frames of a packet case as steps of fuzz_packets.c, with the checksums left alone or mended."""
    paths = sorted(case.glob("send.*.pcap"))
    frames = sorted(frame for path in paths for frame in read_pcap(path, path.suffixes[0][1:]))
    config = json.loads((case / "config.json").read_text())
    small_mtu = config["base"]["ports"][0]["mtu"] <= SMALL_MTU_BYTES
    headers = any(one.get("client_address") == "proxy_v2" for one in config["listeners"])
    tagged = config["base"]["ports"][-1].get("vlan") == VLAN
    choice = (
        (TWO_PORTS if len(paths) > 1 else 0)
        | (SMALL_MTU if small_mtu else 0)
        | (HEADERS if headers else 0)
        | (TAGGED if tagged else 0)
        | (SYNC if "sync" in config["base"] else 0)
    )
    seed = bytes([choice])
    now_s = frames[0].time_us // 1_000_000
    for frame in frames:
        passed_s = min(frame.time_us // 1_000_000 - now_s, 63)
        if passed_s:
            now_s = frame.time_us // 1_000_000
            seed += bytes([TIME | passed_s << 2])
        step = FRAME | (SECOND_PORT if frame.port == "internal" else 0) | (FIX if fix else 0)
        data = frame.data[:FRAME_MAX]
        seed += bytes([step]) + len(data).to_bytes(2, "little") + data
    return seed


def packet_seeds() -> list[bytes]:
    cases = sorted((TESTS / "packets").glob("[0-9]*_*"))
    return [packet_seed(case, fix=fix) for case in cases for fix in (False, True)]


def config_seeds() -> list[bytes]:
    """The three files of fuzz_config.c, parted by bytes of 0."""
    files = [
        CONFIG_TESTDATA / "base.json",
        *(CONFIG_TESTDATA / "listeners" / f"{n}.json" for n in ("web", "dns")),
    ]
    good = b"\0".join(file.read_bytes() for file in files)
    cases = [json.loads(path.read_text()) for path in sorted((TESTS / "packets").glob("*/config.json"))]
    texts = [(case["base"] | {"generation": "0" * 16}, case["listeners"]) for case in cases]
    return [good] + [
        b"\0".join(json.dumps(part).encode() for part in (base, *listeners[:2])) for base, listeners in texts
    ]


def control_seeds() -> list[bytes]:
    lines = [json.dumps(command).encode() + b"\n" for command in COMMANDS]
    return [*lines, b"".join(lines)]


def words() -> list[str]:
    """Every name and text in the JSON files, for libFuzzer's dictionary."""
    found: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            found.update(f'"{name}"' for name in value)
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        else:
            found.add(json.dumps(value))

    for path in CONFIG_TESTDATA.rglob("*.json"):
        collect(json.loads(path.read_text()))
    collect(list(COMMANDS))
    return sorted(found)


SEEDS = {"packets": packet_seeds, "config": config_seeds, "control": control_seeds}
