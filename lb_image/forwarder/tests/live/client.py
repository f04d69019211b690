"""What a client outside sees."""

import socket
from collections import Counter

from live.namespaces import bound, connected, entered
from live.network import CLIENT_ADDRESS, VIP


def greeting(connection: socket.socket) -> str:
    """The name of the backend that took the connection."""
    with connection.makefile() as lines:
        return lines.readline().strip()


def request(namespace: str, port: int = 80, timeout_s: float = 5, vip: str = VIP) -> str:
    """Open a connection, check that data comes back unchanged, and return the backend's name."""
    with connected(namespace, (vip, port), timeout_s) as connection:
        name = greeting(connection)
        connection.sendall(b"x" * 5000)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received == b"x" * 5000, f"{name} sent back {len(received)} bytes"
    return name


def requests(namespace: str, count: int, port: int = 80, vip: str = VIP) -> Counter[str]:
    """How many of ``count`` requests each backend took."""
    return Counter(request(namespace, port, vip=vip) for _ in range(count))


def ask(
    namespace: str, port: int, text: bytes, client: str = CLIENT_ADDRESS, vip: str = VIP, timeout_s: float = 5
) -> bytes:
    """The answer to one UDP datagram from a new client port."""
    with bound(namespace, socket.SOCK_DGRAM, (client, 0)) as datagrams:
        datagrams.settimeout(timeout_s)
        datagrams.sendto(text, (vip, port))
        answer, _ = datagrams.recvfrom(65536)
    return answer


def send_datagram(namespace: str, port: int) -> None:
    """A UDP datagram that nobody has to answer."""
    with entered(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"anybody?", (VIP, port))
