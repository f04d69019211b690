import asyncio
import os
import re
import signal
import sys

import pytest
from agent_cases import listener, settings
from agent_forwarder import running_forwarder, write_base
from agent_operator import DEADLINE_S, running, until

from skylane_agent.agent import Agent
from skylane_agent.config_dir import ConfigDir
from skylane_agent.config_files import listener_file
from skylane_agent.forwarder import Stats
from skylane_agent.health.check import Endpoint
from skylane_agent.health.monitor import Report
from skylane_agent.metrics import metrics_text
from skylane_agent.routes.announcer import AdvertisementReport
from skylane_agent.routes.bird import SessionState
from skylane_agent.settings import VARIABLES


@pytest.fixture
async def agent(tmp_path):
    """An agent whose operator does not exist, and whose forwarder is up to the test."""
    agent = Agent(settings(tmp_path, "127.0.0.1:9"))
    async with running(agent):
        await agent.http.listening.wait()
        await agent.local.known.wait()  # from here on the directory is the test's to write to
        yield agent


async def exchange(port, request):
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(request)
        reply = (await reader.read()).decode()
        writer.close()
    head, _, body = reply.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def get(agent, path):
    return await exchange(agent.http.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def test_alive_but_not_ready_without_a_forwarder(agent):
    assert await get(agent, "/healthz") == (200, "ok\n")
    assert await get(agent, "/readyz") == (503, "the forwarder does not run\n")
    status, text = await get(agent, "/metrics")
    assert status == 200
    assert "skylane_forwarder_up 0\n" in text
    assert "skylane_forwarder_drops_total" not in text


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"GET /healthz HTTP/2\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\xff\xff \xff \xff\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    ],
)
async def test_a_bad_request_gets_an_answer_that_says_so(agent, request_bytes, status):
    assert (await exchange(agent.http.port, request_bytes))[0] == status


async def test_head_has_no_body_and_a_query_is_passed_over(agent):
    assert await exchange(agent.http.port, b"HEAD /healthz HTTP/1.1\r\n\r\n") == (200, "")
    assert await get(agent, "/healthz?verbose=1") == (200, "ok\n")


async def test_ready_with_all_metrics_while_the_forwarder_runs(tmp_path, agent):
    assert ConfigDir(tmp_path / "config").write_listeners([listener_file(listener("web", "1" * 16))]) == {}
    write_base(tmp_path / "config")
    with running_forwarder(tmp_path):
        await until(lambda: agent.local.running and agent.sync.joined)
        assert await get(agent, "/readyz") == (200, "ok\n")
        _, text = await get(agent, "/metrics")
    for sample in (
        "skylane_forwarder_up 1",
        'skylane_forwarder_drops_total{reason="no_listener"} 0',
        'skylane_forwarder_answers_total{kind="resets"} 0',
        "skylane_forwarder_restarts_total 0",
        'skylane_forwarder_inherited_flows{outcome="adopted"} 0',
        'skylane_forwarder_vips{state="conflict"} 0',
        "skylane_forwarder_half_open_flows 0",
        "skylane_forwarder_half_open_evicted_total 0",
        "skylane_forwarder_client_address_omitted_total 0",
        'skylane_listener_packets_total{listener="web",direction="in"} 0',
        'skylane_listener_bytes_total{listener="web",direction="out"} 0',
        'skylane_listener_active_flows{listener="web"} 0',
        'skylane_forwarder_neighbours{state="unresolved"} 1',
    ):
        assert sample + "\n" in text
    await until(lambda: not agent.local.running)
    assert (await get(agent, "/readyz"))[0] == 503


def test_metrics_are_in_the_text_format():
    stats = Stats.model_validate(
        {
            "workers": [{"rx_packets": 1, "tx_packets": 2, "busy_cycles": 2**63, "idle_cycles": 4}],
            "drops": {'odd"\\\nreason': 5},
            "listeners": {"web": {"packets_in": 6, "connections": 7}},
            "sync": {
                "state": "complete",
                "peers": [{"ordinal": 1, "address": "10.77.0.12", "state": "silent", "heard_ms": None}],
                "sent_records": 9,
                "foreign_flows": 10,
            },
        }
    )
    text = metrics_text(
        stats,
        running=True,
        connected=False,
        attempts=3,
        reports={"web": Report(3, [(Endpoint("10.0.0.1", 80), "refused")], panic=False, obstacle="")},
        probes={"passed": 8},
        advertised=AdvertisementReport(
            "1", {"rack-1": SessionState(established=True, error="", prefixes=1)}, ("198.51.100.10",), {}
        ),
    )
    sample = r'[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="[^"\\\n]*")*\})? [0-9]+'
    lines = text.splitlines()
    assert all(re.fullmatch(rf"# (HELP|TYPE) [a-z_]+ .+|{sample}", line) for line in lines)
    assert 'skylane_forwarder_drops_total{reason="odd\\"\\\\\\nreason"} 5' in lines
    assert f'skylane_worker_cycles_total{{worker="0",state="busy"}} {2**63}' in lines
    assert 'skylane_listener_backends{listener="web",health="unhealthy"} 1' in lines
    assert 'skylane_listener_panic{listener="web"} 0' in lines
    assert "skylane_forwarder_sync_complete 1" in lines
    assert 'skylane_forwarder_sync_peer_up{peer="1"} 0' in lines
    assert 'skylane_forwarder_sync_records_total{kind="sent"} 9' in lines
    assert "skylane_forwarder_sync_foreign_flows 10" in lines
    assert 'skylane_health_probes_total{outcome="passed"} 8' in lines
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))


async def process_of(environment):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "skylane_agent", env=environment, stderr=asyncio.subprocess.PIPE
    )


async def test_sigterm_ends_the_process_cleanly_and_leaves_the_forwarder(tmp_path):
    given = settings(tmp_path, "127.0.0.1:9").model_dump()
    variables = {name: str(given[field]) for field, name in VARIABLES.items()}
    process = await process_of({"PATH": os.environ["PATH"]} | variables)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while b"waiting for the forwarder" not in await process.stderr.readline():
                pass
            process.send_signal(signal.SIGTERM)
            _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    assert b"stopped; the forwarder goes on" in log
    assert b"Traceback" not in log


async def test_a_process_without_settings_ends_with_a_line_that_names_them():
    process = await process_of({"PATH": os.environ["PATH"], "POD_NAME": "x"})
    _, log = await process.communicate()
    assert process.returncode == 1
    assert b"SKYLANE_OPERATOR_ADDRESS must be set" in log
    assert b"Traceback" not in log
