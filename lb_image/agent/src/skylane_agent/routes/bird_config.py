"""BIRD's configuration from peers and VIPs. Pure.

Two files: bird.conf, which changes with the peers, and the routes that it includes, which change with the VIPs. A session is
named after its peer: others come and go without it. Nothing here touches the kernel's routes: there is no kernel protocol.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from skylane_api.forwarder.v1 import forwarder_pb2 as pb

ROUTES_FILE = "vips4.conf"
SESSION_PREFIX = "peer:"
# Where BIRD would take calls. It is the one that calls, and 179 would need a privilege.
_OWN_PORT = 1790
_VIPS = "vips4"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", re.ASCII)
_PASSWORD = re.compile(r"[ !#-~]{0,80}")  # BIRD knows no escape for a quotation mark, TCP MD5 takes 80 bytes
_COMMUNITY = re.compile(r"\d{1,10}(:\d{1,10}){1,2}", re.ASCII)


def bird_conf(peers: Iterable[pb.BGPPeer], router_id: str) -> str:
    """bird.conf. `router_id`, an address of the pod's NIC, is also the next hop. Raises ValueError, which names peer and field."""
    lines = [
        "log stderr { info, warning, error, fatal, bug };",
        f"router id {IPv4Address(router_id)};",
        "protocol device { }",
        f"protocol static {_VIPS} {{",
        "  ipv4 { };",
        f'  include "{ROUTES_FILE}";',
        "}",
    ]
    for peer in peers:
        lines += [*_filter(_checked(peer)), *_session(peer, router_id)]
    return "\n".join(lines) + "\n"


def routes_conf(vips: Iterable[str]) -> str:
    """The routes that are announced. The pod's kernel never sees them."""
    return "".join(f"route {vip}/32 blackhole;\n" for vip in sorted(map(IPv4Address, vips)))


def _checked(peer: pb.BGPPeer) -> pb.BGPPeer:
    """What becomes part of BIRD's language cannot end what it stands in."""
    if not _NAME.fullmatch(peer.name):
        raise ValueError(f"peer {peer.name!r}: name must be a DNS name of at most 63 characters")
    if not _PASSWORD.fullmatch(peer.password):
        raise ValueError(
            f"peer {peer.name}: password must be at most 80 printable ASCII characters without quotation marks"
        )
    for community in peer.communities:
        if not _COMMUNITY.fullmatch(community):
            raise ValueError(f"peer {peer.name}: communities: {community!r} is not of the form 64512:100")
    return peer


def _filter(peer: pb.BGPPeer) -> Iterator[str]:
    yield f"filter 'to:{peer.name}' {{"
    yield f'  if proto != "{_VIPS}" then reject;'
    for community in peer.communities:
        kind = "bgp_community" if community.count(":") == 1 else "bgp_large_community"
        yield f"  {kind}.add(({community.replace(':', ', ')}));"
    if peer.HasField("local_pref"):
        yield f"  bgp_local_pref = {peer.local_pref};"
    if peer.HasField("med"):
        yield f"  bgp_med = {peer.med};"
    yield from (f"  bgp_path.prepend({peer.local_asn});" for _ in range(peer.as_path_prepend))
    yield "  accept;"
    yield "}"


def _session(peer: pb.BGPPeer, next_hop: str) -> Iterator[str]:
    yield f"protocol bgp '{SESSION_PREFIX}{peer.name}' {{"
    yield f"  local port {_OWN_PORT} as {peer.local_asn};"
    yield f"  neighbor {IPv4Address(peer.address)} port {peer.port} as {peer.peer_asn};"
    yield "  multihop;" if peer.multihop else "  direct;"
    yield f"  hold time {peer.hold_time_s};"
    if peer.keepalive_time_s:
        yield f"  keepalive time {peer.keepalive_time_s};"
    # A router that was away for a moment is to get its routes back in seconds; by default that takes up to 5 minutes.
    yield "  connect delay time 1;"
    yield "  connect retry time 5;"
    yield "  error wait time 1, 10;"
    if peer.password:
        yield f'  password "{peer.password}";'
    yield f"  graceful restart {'on' if peer.graceful_restart else 'aware'};"
    yield f"  ipv4 {{ import none; export filter 'to:{peer.name}'; next hop address {next_hop}; }};"
    yield "}"
