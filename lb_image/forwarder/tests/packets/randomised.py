"""Random packets, generations and time, from few addresses and ports so that they meet."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from packets.build import (
    BACKENDS,
    GATEWAY_MAC,
    LOCAL,
    NEW_GATEWAY_MAC,
    VIP,
    Script,
    base,
    dns,
    listener,
    to_backend,
    to_client,
)
from packets.harness import Case, Frame, Json

STEPS = 2000
REPLAYED_STEPS = 50_000
CLIENTS = ["192.0.2.10", "192.0.2.11", "10.77.0.50"]
# About the numbers of a SYN, 1000, and of the PROXY header before the client's first byte.
SEQUENCES = [1000, 1000, 1001, 1001, 1001, 1001, 999, 973, 949, 1020]
ACKNOWLEDGMENTS = [1001, 1001, 973, 949, 1000, 980, 1020, 900]
FLAGS = ["S", "S", "S", "A", "A", "PA", "FA", "R", "SA"]


def random_policies(rng: random.Random) -> dict[str, Any]:
    """What a listener may choose, whatever its family."""
    chosen: dict[str, Any] = {
        "timeouts": {key: rng.randint(2, 40) for key in ("established_s", "syn_s", "fin_s", "udp_s")},
        "scheduler": rng.choice(["rr", "wrr", "lc", "wlc", "sh", "mh"]),
        "hash_on": rng.choice(["source", "connection"]),
        "on_backend_removal": rng.choice(["drain", "reset"]),
        "arp": rng.random() < 0.5,
    }
    chosen["client_address"] = rng.choice(["none", "toa", "proxy_v2"])
    chosen["max_connections"] = rng.choice([0, 0, 5, 20])
    if chosen["hash_on"] == "source":
        chosen["session_affinity_s"] = rng.choice([0, 0, 3, 30])
    chosen["client_limits"] = {
        "max_connections": rng.choice([0, 0, 2, 9]),
        "new_connections_per_second": rng.choice([0, 0, 1, 3, 700]),
    }
    return chosen


def random_listeners(rng: random.Random, generation: int) -> list[Json]:
    """A set of listeners; the second one comes and goes under a new name each time, as a slot is not used again soon."""
    chosen = random_policies(rng)
    backends = rng.sample([*BACKENDS, "10.77.0.60"], rng.randint(0, 4))
    chosen["denied_source_ranges"] = rng.choice([[], [], ["192.0.2.11/32"], ["10.77.0.0/24", "0.0.0.0/2"]])
    chosen["allowed_source_ranges"] = rng.choice([[], [], ["192.0.2.8/29"], ["0.0.0.0/0"]])
    first = listener(addresses=backends, weights=[rng.choice([0, 1, 2, 5]) for _ in backends], **chosen)
    for one in first["backends"]:
        one["max_connections"] = rng.choice([0, 0, 2, 6])
    listeners = [first]
    if rng.random() < 0.7:
        listeners.append({**dns(), "name": f"dns-{generation}"})
    return listeners


def random_step(rng: random.Random, script: Script) -> None:
    kind = rng.random()
    fields: dict[str, Any] = {"src": rng.choice(CLIENTS), "ttl": rng.choice([1, 2, 64, 64, 64])}
    reply: dict[str, Any] = {
        "dport": 1024 + rng.randrange(60),
        "backend": rng.choice([*BACKENDS, "10.77.0.60"]),
    }
    data = bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 7, 20])))
    wrong = rng.choice([None, None, None, rng.randrange(65536)])
    if kind < 0.35:
        numbers: dict[str, Any] = {"seq": rng.choice(SEQUENCES), "chksum": wrong}
        script.tcp(rng.choice(FLAGS), 4000 + rng.randrange(12), data, **numbers, **fields)
    elif kind < 0.6:
        acknowledged = rng.choice(ACKNOWLEDGMENTS)
        script.tcp_reply(rng.choice(FLAGS), data=data, ttl=fields["ttl"], ack=acknowledged, **reply)
    elif kind < 0.75:
        script.udp(5000 + rng.randrange(12), data, chksum=wrong, **fields)
    elif kind < 0.87:
        script.udp_reply(data=data, chksum=wrong, ttl=fields["ttl"], **reply)
    elif kind < 0.9:
        script.gateway(
            rng.choice([GATEWAY_MAC, NEW_GATEWAY_MAC]),
            rng.choice(["10.77.0.1", "10.77.0.50", "10.77.0.60", "10.77.0.50", "10.77.0.60", VIP]),
        )
    elif kind < 0.93:
        sender = rng.choice(["10.77.0.1", "10.77.0.1", "0.0.0.0", VIP])  # noqa: S104 - a sender of RFC 5227
        script.who_has(rng.choice([VIP, LOCAL, "10.77.0.11", "10.77.0.99"]), sender)
    elif kind < 0.945:
        random_error(rng, script)
    elif kind < 0.95:
        random_fragments(rng, script)
    elif kind < 0.96:
        script.ping(rng.choice([VIP, LOCAL, "198.51.100.77"]), chksum=wrong)
    else:
        script.wait(rng.choice([0.1, 0.5, 1, 3, 12]))


def random_error(rng: random.Random, script: Script) -> None:
    """About a packet that may be of a flow, to either side, cut off anywhere."""
    l4 = rng.choice([TCP, UDP])
    backend, port, data = rng.choice(BACKENDS), 1024 + rng.randrange(60), Raw(b"x" * rng.randrange(30))
    if rng.random() < 0.5:
        about = to_backend(l4(sport=port, dport=8080) / data, backend)
        if l4 is TCP:
            about[TCP].seq = rng.choice([972, 973, 1000, 1001])
        dst = LOCAL
    else:
        flow = (80, 4000) if l4 is TCP else (53, 5000)
        about = to_client(l4(sport=flow[0], dport=flow[1] + rng.randrange(12)) / data)
        dst = VIP
    kind, length = rng.choice([(3, 4), (3, 3), (11, 0), (12, 0), (4, 0)]), rng.randrange(16, 80)
    script.error(bytes(about)[:length], *kind, src=rng.choice([backend, "203.0.113.9"]), dst=dst)


def random_fragments(rng: random.Random, script: Script) -> None:
    """Of one datagram, some lost, some in the wrong order; identifications meet."""
    data, number = b"f" * rng.randrange(300, 1500), rng.randrange(4)
    one = Script()
    kind = rng.random()
    if kind < 0.2:
        one.tcp(
            rng.choice(FLAGS),
            4000 + rng.randrange(12),
            data,
            seq=rng.choice(SEQUENCES),
            src=rng.choice(CLIENTS),
            id=number,
        )
    elif kind < 0.5:
        one.udp(5000 + rng.randrange(12), data, src=rng.choice(CLIENTS), id=number)
    else:
        one.udp_reply(1024 + rng.randrange(60), rng.choice(BACKENDS), data, id=number)
    pieces = one.pieces_of()
    if rng.random() < 0.3:
        rng.shuffle(pieces)
    for piece in pieces:
        if rng.random() < 0.9:
            script.raw(piece)


def burst(rng: random.Random, script: Script) -> None:
    """Up to 32 packets at one moment. No ARP among them: a burst learns before it forwards."""
    start = script.now_us
    for _ in range(rng.randint(2, 32)):
        script.now_us = start
        script.tcp(rng.choice(FLAGS), 4000 + rng.randrange(12), src=rng.choice(CLIENTS[:2]))


def random_case(rng: random.Random) -> Case:
    """About STEPS frames over some hundred seconds, with a new generation every hundred steps or so."""
    script = Script().gateway()
    for _ in range(STEPS):
        random_step(rng, script)
        if rng.random() < 0.01:
            burst(rng, script)
    seconds = (script.now_us - script.frames[0].time_us) / 1e6
    moments = sorted(round(rng.uniform(0, seconds), 3) + 0.0005 for _ in range(STEPS // 100))
    switches = [(at_s, random_listeners(rng, n)) for n, at_s in enumerate(moments)]
    first = [listener(), dns()]
    return Case(
        "random",
        base(max_flows_per_worker=1024, half_open_percent=rng.choice([1, 50])),
        first,
        script.frames,
        switches,
    )


def replayed(case: Case, rng: random.Random) -> Case:
    """The case, and then its frames again in any order, REPLAYED_STEPS of them, under its generations in any order.

    Scapy needs longer to make a frame than model and forwarder to take it: only so a run comes to this many steps.
    """
    frames, now_us = list(case.sent), case.sent[-1].time_us
    for _ in range(REPLAYED_STEPS):
        again = rng.choice(case.sent)
        now_us += 1000 if rng.random() < 0.97 else rng.choice([100_000, 500_000, 3_000_000])
        frames.append(Frame(now_us, again.port, again.data))
    began_s, ended_s = ((us - frames[0].time_us) / 1e6 for us in (case.sent[-1].time_us, now_us))
    moments = sorted(round(rng.uniform(began_s, ended_s), 3) + 0.0005 for _ in range(REPLAYED_STEPS // 500))
    again_s = [(at_s, rng.choice(case.switches)[1]) for at_s in moments]
    return replace(case, sent=frames, switches=[*case.switches, *again_s])
