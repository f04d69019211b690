"""The forwarder's counters in the Prometheus text format 0.0.4."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from skylane_agent.forwarder import Stats, Sync
from skylane_agent.health.monitor import Report
from skylane_agent.routes.announcer import AdvertisementReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WORKER_COUNTERS = {
    "naps": "Times a worker slept because no packets came.",
    "handed_over": "Packets that a worker passed on to the one that owns their flow.",
    "no_buffer": "Packets that a port could not receive because no buffer was free.",
}

Samples = Iterable[tuple[dict[str, str], int]]


def metrics_text(  # noqa: PLR0913 - one of each part of the agent
    stats: Stats | None,
    *,
    running: bool,
    connected: bool,
    attempts: int,
    reports: Mapping[str, Report],
    probes: Mapping[str, int],
    advertised: AdvertisementReport,
) -> str:
    """All metrics; only those of the agent itself when the forwarder gave no `stats`."""
    families = [*_agent(running=running, connected=connected, attempts=attempts), *_health(reports, probes)]
    families += _advertised(advertised)
    if stats is not None:
        families += [
            *_restart(stats),
            *_vips(stats),
            *_sync(stats.sync),
            *_forwarder(stats),
            *_listeners(stats),
        ]
    return "".join(families)


def _agent(*, running: bool, connected: bool, attempts: int) -> Iterator[str]:
    yield _family("skylane_forwarder_up", "gauge", "Whether the forwarder runs.", [({}, running)])
    yield _family(
        "skylane_agent_connected",
        "gauge",
        "Whether the agent has a stream to the operator.",
        [({}, connected)],
    )
    yield _family(
        "skylane_agent_dials_total", "counter", "Times the agent dialled the operator.", [({}, attempts)]
    )


def _health(by_listener: Mapping[str, Report], probes: Mapping[str, int]) -> Iterator[str]:
    reports = sorted(by_listener.items())
    yield _family(
        "skylane_listener_backends",
        "gauge",
        "Backends of a listener that has a health check, by whether they pass it.",
        [
            ({"listener": name, "health": kind}, count)
            for name, report in reports
            for kind, count in (
                ("healthy", report.backends - len(report.sick)),
                ("unhealthy", len(report.sick)),
            )
        ],
    )
    yield _family(
        "skylane_listener_panic",
        "gauge",
        "Whether so few backends pass the health check that all get new flows.",
        [({"listener": name}, report.panic) for name, report in reports],
    )
    yield _family(
        "skylane_health_probes_total",
        "counter",
        "Probes of backends: passed, failed, or not made for a reason of our own.",
        [({"outcome": kind}, probes.get(kind, 0)) for kind in ("passed", "failed", "not_made")],
    )


def _advertised(report: AdvertisementReport) -> Iterator[str]:
    yield _family(
        "skylane_bgp_session_established",
        "gauge",
        "Whether the BGP session with a peer is established.",
        [({"peer": name}, state.established) for name, state in report.sessions.items()],
    )
    yield _family(
        "skylane_bgp_vips",
        "gauge",
        "VIPs of the pod's listeners, by whether they are announced.",
        [({"state": "announced"}, len(report.announced)), ({"state": "withheld"}, len(report.withheld))],
    )


def _restart(stats: Stats) -> Iterator[str]:
    yield _family(
        "skylane_forwarder_restarts_total",
        "counter",
        "Times the forwarder was started again in place since its container started.",
        [({}, stats.restarts)],
    )
    adoption = stats.adoption
    yield _family(
        "skylane_forwarder_inherited_flows",
        "gauge",
        "Flows that the forwarder found when it started, by what became of them.",
        [
            ({"outcome": "adopted"}, adoption.adopted_flows),
            ({"outcome": "ended"}, adoption.ended_flows),
            ({"outcome": "damaged"}, adoption.damaged_flows),
        ],
    )


def _vips(stats: Stats) -> Iterator[str]:
    yield _family(
        "skylane_forwarder_vips",
        "gauge",
        "VIPs by what the pod is to them on its segment: standby, probing, owner, or conflict with somebody else who has it.",
        [({"state": state}, count) for state, count in sorted(stats.vips.items())],
    )


def _sync(sync: Sync | None) -> Iterator[str]:
    if sync is None:
        return
    yield _family(
        "skylane_forwarder_sync_complete",
        "gauge",
        "Whether the flows of the other pods are known.",
        [({}, sync.state == "complete")],
    )
    yield _family(
        "skylane_forwarder_sync_peer_up",
        "gauge",
        "Whether another pod is heard, by its ordinal.",
        [({"peer": str(peer.ordinal)}, peer.state == "alive") for peer in sync.peers],
    )
    yield _family(
        "skylane_forwarder_sync_local_addresses",
        "gauge",
        "What the pod is to local addresses, its own and those of other pods, by ordinal: standby, probing, owner or conflict.",
        [({"peer": "self", "state": sync.local_addresses}, 1)]
        + [({"peer": str(peer.ordinal), "state": peer.local_addresses}, 1) for peer in sync.peers],
    )
    yield _family(
        "skylane_forwarder_sync_records_total",
        "counter",
        "Flows told to and by other pods, and those told that were not taken.",
        [
            ({"kind": "sent"}, sync.sent_records),
            ({"kind": "received"}, sync.received_records),
            ({"kind": "refused"}, sync.refused_records),
        ],
    )
    yield _family(
        "skylane_forwarder_sync_foreign_flows",
        "gauge",
        "Flows of other pods that are held.",
        [({}, sync.foreign_flows)],
    )


def _forwarder(stats: Stats) -> Iterator[str]:
    workers = [(str(index), worker) for index, worker in enumerate(stats.workers)]
    yield _family(
        "skylane_forwarder_drops_total",
        "counter",
        "Packets dropped, by reason.",
        [({"reason": reason}, count) for reason, count in sorted(stats.drops.items())],
    )
    yield _family(
        "skylane_forwarder_answers_total",
        "counter",
        "Frames sent in answer to dropped packets: TCP resets and ICMP errors.",
        [({"kind": kind}, count) for kind, count in sorted(stats.answers.items())],
    )
    yield _family(
        "skylane_forwarder_half_open_flows",
        "gauge",
        "TCP connections that are being opened.",
        [({}, stats.half_open.live)],
    )
    yield _family(
        "skylane_forwarder_half_open_evicted_total",
        "counter",
        "TCP connections that were being opened and gave way to others.",
        [({}, stats.half_open.evicted)],
    )
    yield _family(
        "skylane_forwarder_client_address_omitted_total",
        "counter",
        "Segments sent to a backend without the client's address, since it had no room.",
        [({}, stats.client_address.omitted)],
    )
    yield _family(
        "skylane_worker_packets_total",
        "counter",
        "Packets of a worker.",
        [({"worker": index, "direction": "rx"}, worker.rx_packets) for index, worker in workers]
        + [({"worker": index, "direction": "tx"}, worker.tx_packets) for index, worker in workers],
    )
    yield _family(
        "skylane_worker_cycles_total",
        "counter",
        "Time stamp counter cycles of a worker, by whether its poll found packets.",
        [({"worker": index, "state": "busy"}, worker.busy_cycles) for index, worker in workers]
        + [({"worker": index, "state": "idle"}, worker.idle_cycles) for index, worker in workers],
    )
    for name, help_text in _WORKER_COUNTERS.items():
        yield _family(
            f"skylane_worker_{name}_total",
            "counter",
            help_text,
            [({"worker": index}, getattr(worker, name)) for index, worker in workers],
        )
    states = Counter(neighbour.state for neighbour in stats.neighbours)
    yield _family(
        "skylane_forwarder_neighbours",
        "gauge",
        "Next hops, by state.",
        [({"state": state}, count) for state, count in sorted(states.items())],
    )


def _listeners(stats: Stats) -> Iterator[str]:
    listeners = sorted(stats.listeners.items())
    for unit in ("packets", "bytes"):
        yield _family(
            f"skylane_listener_{unit}_total",
            "counter",
            f"{unit.capitalize()} of a listener: in from clients, out to clients.",
            [
                ({"listener": name, "direction": direction}, getattr(counters, f"{unit}_{direction}"))
                for name, counters in listeners
                for direction in ("in", "out")
            ],
        )
    yield _family(
        "skylane_listener_connections_total",
        "counter",
        "Flows that a listener has opened.",
        [({"listener": name}, counters.connections) for name, counters in listeners],
    )
    yield _family(
        "skylane_listener_active_flows",
        "gauge",
        "Flows that a listener holds now.",
        [({"listener": name}, counters.active_flows) for name, counters in listeners],
    )


def _family(name: str, kind: str, help_text: str, samples: Samples) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {value:d}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
