"""What passes a link, by a packet socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from live.namespaces import entered

ETHER_TYPES = {0x0800: 20, 0x86DD: 40}  # and the length of the header behind it
ETH_P_ALL = 3


@contextmanager
def captured(namespace: str, link: str) -> Iterator[socket.socket]:
    """A packet socket on a link: what passed since the block began can be read from it."""
    with entered(namespace):
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with packets:
        packets.bind((link, 0))
        packets.settimeout(5)
        yield packets


def next_segment(packets: socket.socket, port: int) -> bytes:
    """The next TCP segment to this port, from its header on."""
    while True:
        frame = packets.recv(65536)
        size = ETHER_TYPES.get(int.from_bytes(frame[12:14]))
        if size is None or frame[23 if size == 20 else 20] != socket.IPPROTO_TCP:
            continue
        length = int.from_bytes(frame[16:18]) - 20 if size == 20 else int.from_bytes(frame[18:20])
        segment = frame[14 + size : 14 + size + length]
        if int.from_bytes(segment[2:4]) == port:
            return segment
