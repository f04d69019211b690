"""Random packets of both families at once, beside randomised.py."""

from __future__ import annotations

import random
from typing import Any

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.packet import Packet, Raw

from packets.build import GATEWAY_MAC, NEW_GATEWAY_MAC, dns, listener
from packets.build6 import (
    ADDRESS6,
    ALL_NODES,
    BACKENDS6,
    GATEWAY6,
    LOCAL6,
    NEIGHBOUR6,
    VIP6,
    Script6,
    base6,
    dns6,
    listener6,
    to_backend6,
    to_client6,
)
from packets.harness import Case, Json
from packets.randomised import (
    ACKNOWLEDGMENTS,
    FLAGS,
    SEQUENCES,
    STEPS,
    random_listeners,
    random_policies,
    random_step,
)

CLIENTS6 = ["2001:db8:c::10", "2001:db8:c::11", NEIGHBOUR6, "fe80::77"]
ON_LINK6 = "2001:db8:77::60"
ALL_BACKENDS6 = [*BACKENDS6, ON_LINK6]


def random_listeners6(rng: random.Random, generation: int) -> list[Json]:
    """As random_listeners(), for IPv6."""
    backends = rng.sample(ALL_BACKENDS6, rng.randint(0, 4))
    weights = [rng.choice([0, 1, 2, 5]) for _ in backends]
    chosen = random_policies(rng)
    chosen["denied_source_ranges"] = rng.choice(
        [[], [], ["2001:db8:c::11/128"], ["2001:db8:77::/64", "fe80::/10"]]
    )
    chosen["allowed_source_ranges"] = rng.choice([[], [], ["2001:db8:c::10/127"], ["::/0"]])
    listeners = [listener6(addresses=backends, weights=weights, **chosen)]
    for one in listeners[0]["backends"]:
        one["max_connections"] = rng.choice([0, 0, 2, 6])
    if rng.random() < 0.7:
        listeners.append({**dns6(), "name": f"dns6-{generation}"})
    return listeners


def random_extension(rng: random.Random) -> Packet | None:
    """Mostly none, sometimes a chain, sometimes one that is refused."""
    if rng.random() < 0.8:
        return None
    kinds = [
        IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(id=rng.randrange(4)),
        IPv6ExtHdrFragment(id=rng.randrange(4), m=1), IPv6ExtHdrRouting(type=rng.choice([0, 4]), segleft=0),
    ]  # fmt: skip
    chain = rng.choice(kinds).copy()
    for _ in range(rng.choice([0, 0, 1, 2, 8])):
        chain /= rng.choice(kinds[:2]).copy()
    return chain


def random_step6(rng: random.Random, script: Script6) -> None:
    kind = rng.random()
    client: dict[str, Any] = {"src": rng.choice(CLIENTS6), "hlim": rng.choice([1, 2, 64, 64, 64])}
    reply: dict[str, Any] = {
        "dport": 1024 + rng.randrange(60),
        "backend": rng.choice(ALL_BACKENDS6),
        "hlim": client["hlim"],
        "between": random_extension(rng),
    }
    data = bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 7, 20])))
    wrong = rng.choice([None, None, None, rng.randrange(65536)])
    if kind < 0.3:
        between = random_extension(rng)
        numbers: dict[str, Any] = {"seq": rng.choice(SEQUENCES), "chksum": wrong, "between": between}
        script.tcp6(rng.choice(FLAGS), 4000 + rng.randrange(12), data, **numbers, **client)
    elif kind < 0.55:
        script.tcp_reply6(rng.choice(FLAGS), data=data, ack=rng.choice(ACKNOWLEDGMENTS), **reply)
    elif kind < 0.7:
        script.udp6(5000 + rng.randrange(12), data, chksum=wrong, between=random_extension(rng), **client)
    elif kind < 0.83:
        script.udp_reply6(data=data, chksum=wrong, **reply)
    elif kind < 0.89:
        random_discovery(rng, script)
    elif kind < 0.92:
        random_error6(rng, script)
    elif kind < 0.95:
        random_fragments6(rng, script)
    else:
        script.ping6(
            rng.choice([VIP6, LOCAL6, "2001:db8:1::77"]), chksum=wrong, between=random_extension(rng)
        )


def random_discovery(rng: random.Random, script: Script6) -> None:
    """Solicitations and advertisements, sure and unsure, some that RFC 4861 refuses."""
    mac = rng.choice([GATEWAY_MAC, NEW_GATEWAY_MAC])
    about = rng.choice([GATEWAY6, NEIGHBOUR6, ON_LINK6, "fe80::77", VIP6])
    hlim = rng.choice([255, 255, 255, 255, 254])
    if rng.random() < 0.6:
        flags: dict[str, Any] = {"S": rng.randrange(2), "O": rng.randrange(2), "R": rng.randrange(2)}
        dst = rng.choice([ADDRESS6, ADDRESS6, ALL_NODES])
        script.neighbour(mac, about, dst=dst, hlim=hlim, option=rng.random() < 0.9, **flags)
    else:
        target = rng.choice([VIP6, LOCAL6, ADDRESS6, "2001:db8:77::99"])
        script.who_has6(target, rng.choice([about, "::"]), mac=mac, hlim=hlim)


def random_error6(rng: random.Random, script: Script6) -> None:
    """About a packet that may be of a flow, to either side, cut off anywhere."""
    l4 = rng.choice([TCP, UDP])
    backend, port, data = rng.choice(BACKENDS6), 1024 + rng.randrange(60), Raw(b"x" * rng.randrange(30))
    if rng.random() < 0.5:
        about = to_backend6(l4(sport=port, dport=8080) / data, backend)
        if l4 is TCP:
            about[TCP].seq = rng.choice([948, 949, 1000, 1001])
        dst = LOCAL6
    else:
        flow = (80, 4000) if l4 is TCP else (53, 5000)
        about = to_client6(l4(sport=flow[0], dport=flow[1] + rng.randrange(12)) / data)
        dst = VIP6
    kind, length = rng.choice([(1, 4), (2, 0), (3, 0), (4, 1), (5, 0)]), rng.randrange(36, 100)
    flip = rng.choice([0, 0, 0, 1])
    src = rng.choice([backend, "2001:db8:9::9"])
    script.error6(bytes(about)[:length], *kind, src=src, dst=dst, flip=flip)


def random_fragments6(rng: random.Random, script: Script6) -> None:
    """Of one packet, some lost, some in the wrong order; identifications meet."""
    data, one = b"f" * rng.randrange(300, 1500), Script6()
    kind = rng.random()
    if kind < 0.2:
        one.tcp6(
            rng.choice(FLAGS),
            4000 + rng.randrange(12),
            data,
            seq=rng.choice(SEQUENCES),
            src=rng.choice(CLIENTS6),
        )
    elif kind < 0.5:
        one.udp6(5000 + rng.randrange(12), data, src=rng.choice(CLIENTS6))
    else:
        one.udp_reply6(1024 + rng.randrange(60), rng.choice(BACKENDS6), data)
    pieces = one.pieces6_of(rng.randrange(4))
    if rng.random() < 0.3:
        rng.shuffle(pieces)
    for piece in pieces:
        if rng.random() < 0.9:
            script.raw(piece)


def burst_of_both(rng: random.Random, script: Script6) -> None:
    """Up to 32 packets of both families at one moment."""
    start = script.now_us
    for _ in range(rng.randint(2, 32)):
        script.now_us = start
        if rng.random() < 0.5:
            script.tcp(rng.choice(FLAGS), 4000 + rng.randrange(12), src="192.0.2.10")
        else:
            script.tcp6(rng.choice(FLAGS), 4000 + rng.randrange(12), src=rng.choice(CLIENTS6[:2]))


def random_case_of_both(rng: random.Random) -> Case:
    """As random_case(), with both families on one port."""
    script = Script6().neighbour().gateway()
    for _ in range(STEPS):
        if rng.random() < 0.3:
            random_step(rng, script)
        else:
            random_step6(rng, script)
        if rng.random() < 0.01:
            burst_of_both(rng, script)
    seconds = (script.now_us - script.frames[0].time_us) / 1e6
    moments = sorted(round(rng.uniform(0, seconds), 3) + 0.0005 for _ in range(STEPS // 100))
    switches = [
        (at_s, [*random_listeners(rng, n), *random_listeners6(rng, n)]) for n, at_s in enumerate(moments)
    ]
    first = [listener(), dns(), listener6(), dns6()]
    return Case("random", base6(max_flows_per_worker=1024), first, script.frames, switches)
