"""Run every case, print a table, write build/bench-control.json."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from control_bench import measure
from control_bench.world import BenchError, bench_world

ROOT = Path(__file__).resolve().parents[3]
OUTPUT = ROOT / "build" / "bench-control.json"
ENDPOINTS = 20
LARGE = 1000


def note(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", flush=True)


def show(rows, row):
    rows.append(row)
    print(json.dumps(row), flush=True)


async def run(small, large):
    rows = []
    with tempfile.TemporaryDirectory(prefix="skylane-bench-") as folder:
        async with bench_world(Path(folder)) as world:
            await world.prepare()
            for services in (small, large):
                note(f"{services} Services with {ENDPOINTS} endpoints each")
                await world.add_services(services, ENDPOINTS)
                await measure.until_all_run(world)
                show(rows, await measure.endpoint_changes(world))
                show(rows, measure.memory(world))
            note("an update of a slice each 2 ms")
            show(rows, await measure.sustained(world))
            note("the operator starts anew")
            show(rows, await measure.cold_start(world))
            show(rows, measure.memory(world))
            note("a Service with 1,000 endpoints is rolled")
            show(rows, await measure.rolling_restart(world, LARGE))
            note("a minute in which nothing happens")
            await asyncio.sleep(15)  # statuses are written up to seconds after what they tell of
            show(rows, await measure.steady_state(world))
    return rows


def main():
    parser = argparse.ArgumentParser(prog="control_bench", description=__doc__)
    parser.add_argument("--services", type=int, nargs=2, default=(1000, 5000), metavar=("FEW", "MANY"))
    given = parser.parse_args()
    try:
        rows = asyncio.run(run(*given.services))
    except BenchError as error:
        sys.exit(f"bench-control: {error}")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
