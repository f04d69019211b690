"""How backends are told whom they serve, for the reference model: by which means, and what both have in common."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from model import proxy, toa
from model.state import Flow, Json, Port
from model.wire import Datagram, MalformedError

if TYPE_CHECKING:
    from model.fullnat import Model

Sent = tuple[int, bytes]
SYN, RST = 2, 4


def added(flow: Flow) -> bytes:
    return toa.option(flow) if flow.tells == "toa" else proxy.header(flow)


def begin(listener: Json, flow: Flow, datagram: Datagram) -> None:
    flow.tells = listener.get("client_address", "none")
    flow.untold = flow.tells != "none"
    if flow.untold:
        (flow.isn,) = struct.unpack_from("!I", datagram.payload, 4)


def refuse_fragment(tells: str, datagram: Datagram, *, untold: bool) -> None:
    """Nothing can be put in front of a part of a segment, and nothing of it may stand where a header is to be."""
    if datagram.more and tells == "proxy_v2" and (untold or datagram.flags & SYN):
        raise MalformedError("fragment_untold")


def from_client(model: Model, flow: Flow, datagram: Datagram, sent: Sent, out: Port) -> Sent:
    if flow.tells == "proxy_v2":
        return proxy.from_client(model, flow, datagram, sent, out)
    if flow.tells == "toa":
        return toa.from_client(model, flow, datagram, sent, out)
    return sent


def from_backend(flow: Flow, datagram: Datagram, sent: Sent, side: Port) -> Sent:
    if flow.tells == "toa":
        toa.from_backend(flow, datagram)
    if not flow.untold:
        return sent
    if flow.tells == "proxy_v2":
        sent = proxy.from_backend(flow, datagram, sent)
    return lower_mss(flow, datagram, sent, side) if datagram.flags & SYN else sent


def lower_mss(flow: Flow, datagram: Datagram, sent: Sent, side: Port) -> Sent:
    """A SYN+ACK says how long the client's segments may be, which become longer."""
    place = None if datagram.more else mss_place(datagram.payload)
    if place is None:
        return sent
    at = 14 + len(datagram.header)
    body = bytearray(sent[1][at : at + len(datagram.payload)])
    (said,) = struct.unpack_from("!H", body, place)
    headers = 60 if isinstance(flow.client[0], IPv6Address) else 40
    lower = min(said, side.mtu - headers) - len(added(flow))
    if lower <= 0:
        return sent
    struct.pack_into("!H", body, place, lower)
    return toa.remade(datagram, sent, bytes(body), (flow.vip, flow.client))


def mss_place(segment: bytes) -> int | None:
    """Where in the segment the value of the option stands."""
    places = (at + 2 for at, size in toa.options(segment) if segment[at] == 2 and size == 4)
    return next(places, None)


def path_mtu(model: Model, flow: Flow, datagram: Datagram) -> bytes:
    """The first 8 bytes of an error for the client, about a packet that may have been longer than what it sent."""
    head = datagram.payload[:8]
    ipv6 = isinstance(flow.client[0], IPv6Address)
    (mtu,) = struct.unpack_from("!I" if ipv6 else "!H", head, 4 if ipv6 else 6)
    too_big = head[0] == 2 if ipv6 else head[:2] == b"\3\4"
    if not flow.untold or flow.alone or not too_big or not mtu:
        return head
    lower = mtu - len(added(flow))
    if lower >= (1280 if ipv6 else 68):
        return head[:4] + struct.pack("!I", lower) if ipv6 else head[:6] + struct.pack("!H", lower)
    flow.alone = True
    model.omitted += flow.tells == "toa"
    return head


def requoted(flow: Flow, quoted: bytes, at: int) -> bytes:
    return proxy.requoted(flow, quoted, at) if flow.tells == "proxy_v2" else quoted
