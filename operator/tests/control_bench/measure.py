"""What is measured; each function gives one row, or more, of build/bench-control.json."""

import asyncio
import statistics
import time
from functools import partial

from control_bench.world import BenchError

CHANGES = 200
RATE_PER_S = 500
SUSTAINED_S = 10
STEADY_S = 60


def percentile(values, share):
    """Nearest rank: the smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def until_all_run(world, timeout_s=180.0):
    """Wait until the forwarder runs a listener for every Service, with its endpoints."""
    await world.until_applied(
        lambda: len(world.running()) >= world.services, f"{world.services} listeners", timeout_s
    )
    for number, addresses in world.endpoints.items():
        await world.until_applied(partial(world.has, number, addresses[0]), f"endpoints of s{number}")


async def endpoint_changes(world, changes=CHANGES):
    """From the patch of an EndpointSlice until the forwarder has taken the listener, one after another."""
    took_ms = []
    for number in range(changes):
        which = number * 7919 % world.services
        started = time.perf_counter()
        address = await world.change_endpoint(which)
        await world.until_applied(partial(world.has, which, address), address)
        took_ms.append((time.perf_counter() - started) * 1000)
    return {
        "case": "endpoint-change",
        "services": world.services,
        "endpoints": sum(map(len, world.endpoints.values())),
        "p50_ms": round(statistics.median(took_ms), 1),
        "p99_ms": round(percentile(took_ms, 0.99), 1),
    }


async def sustained(world):
    """Slice updates at a fixed rate; how far behind the forwarder is after the last one."""
    started, tasks, count = time.perf_counter(), [], RATE_PER_S * SUSTAINED_S
    last = {}
    limit = asyncio.Semaphore(32)

    async def change(number):
        async with limit:
            which = number % world.services
            last[which] = await world.change_endpoint(which)

    deltas = world.deltas
    for number in range(count):
        delay = started + number / RATE_PER_S - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        tasks.append(asyncio.create_task(change(number)))
    await asyncio.gather(*tasks)
    written_s = time.perf_counter() - started
    await world.until_applied(lambda: all(world.has(*item) for item in last.items()), "the last changes")
    return {
        "case": "sustained",
        "services": world.services,
        "updates": count,
        "wanted_per_s": RATE_PER_S,
        "written_per_s": round(count / written_s),
        "lag_after_ms": round((time.perf_counter() - started - written_s) * 1000),
        "deltas": world.deltas - deltas,
    }


async def rolling_restart(world, endpoints):
    """Every endpoint of one large Service is replaced, one at a time; each change arrives, pushes are merged."""
    slices = await world.add_large_service(endpoints)
    await world.until_applied(lambda: world.large_runs(slices), "the large Service")
    deltas, started = world.deltas, time.perf_counter()
    for index in range(endpoints):
        await world.replace_endpoint(slices, index)
    written_s = time.perf_counter() - started
    await world.until_applied(lambda: world.large_runs(slices), "the last endpoint")
    pushes = world.deltas - deltas
    return {
        "case": "rolling-restart",
        "endpoints": endpoints,
        "seconds": round(written_s, 1),
        "pushes": pushes,
        "pushes_per_s": round(pushes / written_s, 1),
        "lag_after_ms": round((time.perf_counter() - started - written_s) * 1000),
    }


async def cold_start(world):
    """The operator is started anew: until a change passes through it, and the agent was told nothing else."""
    before, deltas = dict(world.running()), world.deltas
    world.process.stop()
    started = time.perf_counter()
    world.process.start()
    address = await world.change_endpoint(0)
    await world.until_applied(partial(world.has, 0, address), address, 120)
    seconds = time.perf_counter() - started
    others = {name: one for name, one in world.running().items() if before.get(name) != one}
    if world.deltas != deltas + 1 or len(others) != 1:
        raise BenchError(f"the operator's restart disturbed the agent: {len(others)} listeners were replaced")
    return {
        "case": "cold-start",
        "endpoints": sum(map(len, world.endpoints.values())),
        "seconds": round(seconds, 1),
    }


def memory(world):
    """Resident memory of the operator."""
    return {
        "case": "operator-memory",
        "services": world.services,
        "endpoints": sum(map(len, world.endpoints.values())),
        "rss_mib": round(world.process.rss_mib()),
    }


async def steady_state(world):
    """API writes in a minute in which nothing happens, by the API server's own count."""
    before, cpu = _writes(world), world.process.cpu_s()
    await asyncio.sleep(STEADY_S)
    after = _writes(world)
    written = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    return {
        "case": "steady-state",
        "seconds": STEADY_S,
        "writes": {f"{verb} {resource}": int(n) for (verb, resource), n in sorted(written.items())},
        "operator_cpu_percent": round((world.process.cpu_s() - cpu) / STEADY_S * 100, 1),
    }


def _writes(world):
    """(verb, resource) to how many requests have changed something of ours or of Services."""
    counts = {}
    for line in world.api.request("GET", "/metrics", decode=False).splitlines():
        if line.startswith("apiserver_request_total{"):
            labels = dict(
                part.split("=", 1)
                for part in line[line.index("{") + 1 : line.index("}")].split(",")
                if "=" in part
            )
            verb, resource = labels["verb"].strip('"'), labels["resource"].strip('"')
            ours = resource in {
                "loadbalancers",
                "virtualippools",
                "services",
                "events",
                "statefulsets",
                "leases",
            }
            if verb in {"POST", "PUT", "PATCH", "APPLY", "DELETE"} and ours:
                key = (verb, resource)
                counts[key] = counts.get(key, 0) + float(line.rpartition(" ")[2])
    return counts
