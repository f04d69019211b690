"""Cases about how a backend is chosen, and about the flows of one that goes."""

from __future__ import annotations

from packets.build import BACKENDS, case, dns, listener, up
from packets.harness import Case


def least_connections() -> Case:
    """lc: a new connection goes where the fewest are alive; those that end make room."""
    timeouts = {"established_s": 900, "syn_s": 60, "fin_s": 3, "udp_s": 180}
    script = up()
    for n in range(6):
        script.tcp("S", sport=4000 + n)
    script.tcp("R", sport=4001).tcp("R", sport=4004).at(5).gateway()
    for n in range(4):
        script.tcp("S", sport=4010 + n)
    backends = listener(scheduler="lc", addresses=BACKENDS, weights=[1, 5, 1], timeouts=timeouts)
    return case(least_connections.__doc__, script, backends)


def weighted_least_connections() -> Case:
    """wlc: live connections stay in proportion to the weights."""
    script = up()
    for n in range(24):
        script.tcp("S", sport=4000 + n)
    weights = listener(scheduler="wlc", addresses=[*BACKENDS, "10.244.0.8"], weights=[6, 4, 2, 0])
    return case(weighted_least_connections.__doc__, script, weights)


def source_hash() -> Case:
    """sh: a client's connections go to one backend; without it they move, those of the others stay."""
    script = up()
    for at_s in (0, 2, 4):
        script.at(at_s).gateway()
        for n in range(20):
            script.tcp("S", sport=4000 + at_s, src=f"192.0.2.{n}").tcp(
                "S", sport=5000 + at_s, src=f"192.0.2.{n}"
            )
    fewer = listener(scheduler="sh", addresses=BACKENDS[1:], weights=[1, 1])
    switches = [
        (1.5, [fewer]),
        (3.5, [listener(scheduler="sh", addresses=BACKENDS[::-1], weights=[1, 1, 1])]),
    ]
    return case(source_hash.__doc__, script, listener(scheduler="sh", addresses=BACKENDS), switches=switches)


def maglev_hash() -> Case:
    """mh by connection, with weights: each connection for itself, in proportion."""
    script = up()
    for n in range(60):
        script.tcp("S", sport=4000 + n)
    spread = listener(scheduler="mh", hash_on="connection", addresses=BACKENDS, weights=[1, 2, 3])
    return case(maglev_hash.__doc__, script, spread)


def removed_backend_resets() -> Case:
    """With on_backend_removal "reset" the flows of a removed backend end: RST for TCP, another backend for UDP. Weight 0 drains."""
    reset = {"on_backend_removal": "reset"}
    script = up().handshake().handshake(4001, 1025, BACKENDS[1]).udp().udp(sport=5001)
    script.at(2).gateway().tcp("PA", data=b"x").tcp("PA", 4001, b"y").tcp_reply("A").udp().udp(sport=5001)
    less = listener(addresses=BACKENDS[1:2], weights=[0], on_backend_removal="reset")
    switches = [(1.5, [less, dns(addresses=BACKENDS[1:2], **reset)])]
    return case(removed_backend_resets.__doc__, script, listener(**reset), dns(**reset), switches=switches)


SCHEDULERS = [least_connections, weighted_least_connections, source_hash, maglev_hash, removed_backend_resets]
