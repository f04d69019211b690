"""``python -m fuzz [--seconds N] [TARGET...]``: builds and runs the libFuzzer targets, each for N seconds.

A run starts from the seeds and from ``corpus/<target>/``, which is kept; ``--merge`` adds to it the smallest set of what earlier
runs found in ``build/fuzz``. A crash is written to ``build/fuzz/<target>-crash-*``; exit status 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from fuzz.seeds import SEEDS, words

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[3]
BUILD = REPOSITORY / "build" / "fwd-fuzz"
FOUND = REPOSITORY / "build" / "fuzz"
SETUP = ("-Dfuzz=true", "-Ddpdk=disabled", "-Db_sanitize=address,undefined", "-Db_lundef=false")
# Largest input, bytes.
LENGTH_MAX = {"packets": 4096, "config": 8192, "control": 1024}
# On top of the fuzzing: start, and the end of the last input.
GRACE_S = 120


def build() -> None:
    """Raises CalledProcessError."""
    if not (BUILD / "build.ninja").exists():
        command = ["meson", "setup", str(BUILD), str(REPOSITORY / "lb_image" / "forwarder"), *SETUP]
        subprocess.run(command, check=True, env=os.environ | {"CC": "clang"})
    targets = [f"tests/fuzz/fuzz_{name}" for name in SEEDS]
    subprocess.run(["ninja", "-C", str(BUILD), *targets], check=True)


def prepare(target: str) -> Path:
    """Folder of this target's inputs, seeds written."""
    folder = FOUND / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]()):
        (folder / f"seed-{number}").write_bytes(seed)
    dictionary = "".join('"{}"\n'.format(word.replace("\\", "\\\\").replace('"', '\\"')) for word in words())
    (FOUND / "words.dict").write_text(dictionary)
    return folder


def fuzzer(target: str, *arguments: str, timeout_s: float) -> bool:
    """True when it ended well."""
    command = [
        str(BUILD / "tests" / "fuzz" / f"fuzz_{target}"),
        f"-max_len={LENGTH_MAX[target]}",
        f"-artifact_prefix={FOUND}/{target}-",
        "-print_final_stats=1",
        "-timeout=10",
        *arguments,
    ]
    # Freed memory is used again soon: to fetch fresh pages takes longer than the runs.
    env = os.environ | {
        "ASAN_OPTIONS": "quarantine_size_mb=4",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    return subprocess.run(command, check=False, env=env, timeout=timeout_s).returncode == 0


def fuzz(target: str, seconds: int) -> bool:
    folder, kept = prepare(target), FOLDER / "corpus" / target
    arguments = [f"-max_total_time={seconds}", str(folder), str(kept)]
    if target != "packets":
        arguments.insert(0, f"-dict={FOUND}/words.dict")
    return fuzzer(target, *arguments, timeout_s=seconds + GRACE_S)


def merge(target: str) -> bool:
    kept = FOLDER / "corpus" / target
    kept.mkdir(parents=True, exist_ok=True)
    return fuzzer(target, "-merge=1", str(kept), str(prepare(target)), timeout_s=600)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--merge", action="store_true", help="add what was found to the kept corpus")
    parser.add_argument("targets", nargs="*", default=list(SEEDS), metavar="TARGET", help=", ".join(SEEDS))
    options = parser.parse_args()
    build()
    ok = True
    for target in options.targets:
        ok = (merge(target) if options.merge else fuzz(target, options.seconds)) and ok
    return 0 if ok else 1


sys.exit(main())
