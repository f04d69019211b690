"""BIRD's configuration from peers and VIPs. Pure.

bird.conf changes with the peers, and the routes that it includes, a file for each IP version, with the VIPs. A session is
named after its peer: others come and go without it. Nothing here touches the kernel's routes: there is no kernel protocol.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from skylane_agent.config_dir import NicAddresses
from skylane_api.forwarder.v1 import forwarder_pb2 as pb

ROUTES_FILES = {4: "vips4.conf", 6: "vips6.conf"}  # by IP version
SESSION_PREFIX = "peer:"
# Where BIRD would take calls. It is the one that calls, and 179 would need a privilege.
_OWN_PORT = 1790

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", re.ASCII)
_PASSWORD = re.compile(r"[ !#-~]{0,80}")  # BIRD knows no escape for a quotation mark, TCP MD5 takes 80 bytes
_COMMUNITY = re.compile(r"\d{1,10}(:\d{1,10}){1,2}", re.ASCII)


def bird_conf(peers: Iterable[pb.BGPPeer], nic: NicAddresses) -> str:
    """bird.conf, with the addresses of the NIC as next hops. Raises ValueError, which names peer and field."""
    lines = [
        "log stderr { info, warning, error, fatal, bug };",
        f"router id {IPv4Address(nic.ipv4)};",
        "protocol device { }",
    ]
    for version, file in ROUTES_FILES.items():
        lines += [f"protocol static vips{version} {{", f"  ipv{version} {{ }};", f'  include "{file}";', "}"]
    for peer in peers:
        lines += [*_filter(_checked(peer)), *_session(peer, nic)]
    return "\n".join(lines) + "\n"


def routes_confs(vips: Iterable[str]) -> dict[int, str]:
    """The routes that are announced, by IP version. The pod's kernel never sees them."""
    addresses = sorted(map(ip_address, vips), key=int)
    return {
        version: "".join(
            f"route {vip}/{vip.max_prefixlen} blackhole;\n" for vip in addresses if vip.version == version
        )
        for version in ROUTES_FILES
    }


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
    yield "  if source != RTS_STATIC then reject;"
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


def _session(peer: pb.BGPPeer, nic: NicAddresses) -> Iterator[str]:
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
    # IPv6 over a session that is IPv4 (RFC 4760); a router that knows it not is sent the rest.
    next_hops = [IPv4Address(nic.ipv4), *([IPv6Address(nic.ipv6)] if nic.ipv6 else [])]
    for next_hop in next_hops:
        policy = f"import none; export filter 'to:{peer.name}'; next hop address {next_hop};"
        yield f"  ipv{next_hop.version} {{ {policy} }};"
    yield "}"
