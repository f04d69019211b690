"""``make packets``: writes every case's folder anew. Review the difference before you commit it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from packets.cases import named
from packets.harness import Case, Json, port_names, run_model, write_pcap

FOLDER = Path(__file__).parent


def write(folder: Path, case: Case) -> None:
    expected = run_model(case)
    folder.mkdir()
    config: Json = {
        "about": case.about,
        "base": case.base,
        "listeners": case.listeners,
        "switches": [{"at_s": at_s, "listeners": listeners} for at_s, listeners in case.switches],
        **({"cold": True} if case.cold else {}),
        "drops": dict(sorted(expected.drops.items())),
    }
    if expected.omitted:
        config["omitted"] = expected.omitted
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for port in port_names(case):
        write_pcap(folder / f"send.{port}.pcap", [f for f in case.sent if f.port == port])
        write_pcap(folder / f"expect.{port}.pcap", [f for f in expected.frames if f.port == port])


def main() -> None:
    for old in FOLDER.glob("[0-9]*_*"):
        shutil.rmtree(old)
    cases = named()
    for name, case in cases.items():
        write(FOLDER / name, case)
    print(f"{len(cases)} cases written; expectations are the reference model's")


main()
