"""Peers for the agent's tests, and the two real BIRDs that they are about."""

import contextlib

from lib.bird import PodAndRouter
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

PASSWORD = "d0 not log's me"  # noqa: S105 - of a test
NIC_ADDRESS, NIC_IPV6 = "10.77.0.11", "2001:db8:77::11"  # of agent_forwarder.write_base
LOCAL_ASN = 4200000001


def peer(name="rack-1", **changes):
    given = {
        "name": name,
        "address": PodAndRouter.ROUTER_ADDRESS,
        "port": 179,
        "peer_asn": PodAndRouter.ASN,
        "local_asn": LOCAL_ASN,
        "hold_time_s": 90,
        "keepalive_time_s": 30,
        "multihop": True,
        "password": PASSWORD,
    }
    return pb.BGPPeer(**given | changes)


def routing(*peers, generation="p1"):
    return pb.Routing(generation=generation, peers=peers)


@contextlib.contextmanager
def network(folder):
    """The pod's daemon is where an agent whose files are in `folder` looks for it."""
    one = PodAndRouter(folder, folder / "bird", password=PASSWORD, nics=("10.77.0.1/24", "2001:db8:77::1/64"))
    try:
        one.start()
        yield one
    finally:
        one.stop()
