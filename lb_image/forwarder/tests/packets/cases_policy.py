"""Cases about which new flows a listener takes. Those that are there go on."""

from __future__ import annotations

from typing import Any

from packets.build import BACKENDS, case, dns, listener, up
from packets.harness import Case, Json


def limited(limits: list[int], **changes: Any) -> Json:
    """A listener whose backends take so many connections each."""
    one = listener(addresses=BACKENDS[: len(limits)], **changes)
    return {
        **one,
        "backends": [{**b, "max_connections": n} for b, n in zip(one["backends"], limits, strict=True)],
    }


def connection_limit() -> Case:
    """max_connections of a listener: SYNs over it are dropped, what is there goes on, a connection that ended makes room."""
    script = up().tcp("S").tcp("S", 4001).tcp("S", 4002).tcp("S").tcp_reply("SA").tcp("A")
    script.tcp("R", 4001).tcp("S", 4002).tcp("S", 4003).tcp("PA", data=b"x")
    script.udp().udp(sport=5001).udp(sport=5002).udp()
    return case(connection_limit.__doc__, script, listener(max_connections=2), dns(max_connections=2))


def connection_limit_lowered() -> Case:
    """A lower limit in a new generation ends nothing; a higher one lets in at once."""
    script = up()
    for at_s in (0, 2, 4):
        script.at(at_s).gateway()
        for n in range(4):
            script.tcp("S", 4000 + n + at_s)
    switches = [(1.5, [listener(max_connections=1)]), (3.5, [listener(max_connections=6)])]
    return case(connection_limit_lowered.__doc__, script, listener(max_connections=4), switches=switches)


def backend_limit() -> Case:
    """max_connections of backends: a full one is passed over, with all full SYNs are dropped."""
    script = up()
    for n in range(9):
        script.tcp("S", 4000 + n)
    script.tcp("R", 4000).tcp("S", 4010).tcp("S", 4011).tcp("PA", 4008)
    return case(backend_limit.__doc__, script, limited([1, 3, 2], scheduler="wrr", weights=[5, 1, 1]))


def backend_limit_hashed() -> Case:
    """sh: the clients of a full backend go to their next one, the others stay where they are."""
    script = up()
    for n in range(30):
        script.tcp("S", src=f"192.0.2.{n}")
    return case(backend_limit_hashed.__doc__, script, limited([3, 0, 12], scheduler="sh"))


POLICY = [connection_limit, connection_limit_lowered, backend_limit, backend_limit_hashed]
