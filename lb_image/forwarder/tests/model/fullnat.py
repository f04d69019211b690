"""Reference model of the forwarder, written from the RFCs and the documented rules, with dictionaries.

It shares nothing with the C code. What it takes as the contract:

* one worker, one bank (``max_flows_per_worker`` ≤ local addresses x 64,512), for each family: local ports are taken first in, first out, at the
  start in order of address, then port from 1024;
* the clock counts whole seconds from the first frame (``now_ms``, which the caller sets, is for rates and VIPs); idle flows end and neighbours are asked at the start of a second;
* ``rr`` and ``wrr`` are LVS's, and go on where they stood when a listener gets a new generation.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from ipaddress import IPv6Address

from model import answers, client_address, nd, policy, vlan, wire, wire6
from model.foreign import Foreign, hear
from model.scheduling import Backend, Key, Scheduler
from model.state import Endpoint, Flow, Json, Port
from model.wire import ICMP, TCP, UDP, Address, Datagram, MalformedError, ip
from model.wire6 import ICMP6

FIN, SYN, RST, ACK = 1, 2, 4, 16
FRAGMENT_FORGET_S = 30
FIRST_FRAGMENT_ID = 0x5EED  # the pcap shell's seed


class Model(Foreign):
    """Feed it frames; it says what comes out and counts what does not."""

    def __init__(self, base: Json, listeners: list[Json]) -> None:
        super().__init__(base)
        self.free: dict[type, deque[Endpoint]] = {int: deque(), IPv6Address: deque()}
        self.max_flows = base["max_flows_per_worker"]
        self.max_half_open = max(1, self.max_flows * base.get("half_open_percent", 50) // 100)
        self.resets = base.get("unknown_tcp", "reset") == "reset"
        self.errors: Counter[int] = Counter()  # ICMP errors sent, by second
        self.flows: dict[Key, Flow] = {}
        self.replies: dict[Endpoint, Flow] = {}
        self.schedulers: dict[str, Scheduler] = {}
        self.backends: dict[str, list[Backend]] = {}
        self.sessions: dict[tuple[Scheduler, Address], tuple[Backend, int]] = {}
        self.full_at: dict[tuple[Scheduler, Address], int] = {}
        self.drops: Counter[str] = Counter()
        self.omitted = 0  # segments that had no room for the client's address
        self.fragments: dict[tuple[object, ...], tuple[Flow, int, int]] = {}
        self.fragment_id = FIRST_FRAGMENT_ID
        if not self.sync:
            self.offer()
        self.load(listeners)

    def load(self, listeners: list[Json]) -> None:
        """Take another set of listeners; flows live on."""
        self.listeners = {
            (ip(one["vip"]), one["port"], TCP if one["protocol"] == "tcp" else UDP): one for one in listeners
        }
        self.vips.load(dict.fromkeys(ip(one["vip"]) for one in listeners if one["arp"]))
        self.backends = {one["name"]: self.backends_of(one) for one in listeners}
        names = {one["name"] for one in listeners}
        self.schedulers = {n: s for n, s in self.schedulers.items() if n in names}
        for name in names - self.schedulers.keys():
            self.schedulers[name] = Scheduler()

    def backends_of(self, listener: Json) -> list[Backend]:
        """Those that it had go on as they are, but for their weights."""
        had = {(b.address, b.port): b for b in self.backends.get(listener["name"], [])}
        backends = []
        for one in listener["backends"]:
            key = (ip(one["address"]), one["port"])
            backends.append(had.setdefault(key, Backend(*key, 0)))
            backends[-1].weight, backends[-1].limit = one["weight"], one.get("max_connections", 0)
        return backends

    # Time

    def tick(self, now_s: int) -> list[tuple[int, bytes]]:
        """Start of second ``now_s``: end idle flows; returns ARP requests as (port, frame)."""
        if now_s == self.now_s:
            return []
        self.now_s = now_s
        self.run_sync(self.now_ms)
        for key, flow in list(self.flows.items()):
            if now_s - flow.last_seen_s >= flow.timeout_s or self.is_orphan(flow):
                self.end(key)
        for listener in self.listeners.values():
            for backend in listener["backends"]:
                self.watch(ip(backend["address"]))
        asked = [request for port, address in self.neighbours if (request := self.ask(port, address))]
        sent = self.announce() + self.look_after_vips() + asked
        self.forget_neighbours(set().union(*(flow.hops for flow in self.flows.values())))
        return sent

    def is_orphan(self, flow: Flow) -> bool:
        listener = self.listener_of(flow)
        if not listener or listener.get("on_backend_removal") != "reset":
            return False
        return flow.owner not in self.backends[listener["name"]]

    def listener_of(self, flow: Flow) -> Json | None:
        """The present generation of the flow's listener."""
        same = (one for one in self.listeners.values() if self.schedulers[one["name"]] is flow.scheduler)
        return next(same, None)

    # Packets

    def process(self, port: int, frame: bytes) -> tuple[int, bytes] | None:
        """What is sent for ``frame``, as (port, frame); drops are counted."""
        try:
            bare = vlan.untagged(self.ports[port].vlan, frame)
        except MalformedError as reason:
            self.drops[str(reason.args[0])] += 1
            return None
        sent = self.process_untagged(port, bare)
        return sent and (sent[0], self.tagged(*sent))

    def tagged(self, port: int, frame: bytes) -> bytes:
        """As it leaves; what had a tag when it came may be too short without it."""
        if self.ports[port].vlan:
            return vlan.tagged(self.ports[port].vlan, frame)
        return frame.ljust(vlan.SHORTEST, b"\0") if any(p.vlan for p in self.ports) else frame

    def process_untagged(self, port: int, frame: bytes) -> tuple[int, bytes] | None:
        try:
            return self.handle(self.ports[port], frame)
        except MalformedError as reason:
            self.drops[str(reason.args[0])] += 1
            return answers.answer(self, self.ports[port], frame, *reason.args)

    def handle(self, port: Port, frame: bytes) -> tuple[int, bytes] | None:
        if frame[12:14] == b"\x08\x06":
            return self.arp(port, frame)
        if frame[12:14] == b"\x86\xdd":
            return self.handle_ipv6(port, frame)
        if frame[12:14] != b"\x08\x00":
            raise MalformedError("unknown_ethertype")
        if frame[:6] != port.mac:
            raise MalformedError("not_our_mac")
        datagram = wire.decode_ipv4(frame[14:])
        if datagram.protocol == ICMP:
            return answers.icmp(self, port, frame, datagram)
        return self.pass_on(port, frame, datagram)

    def handle_ipv6(self, port: Port, frame: bytes) -> tuple[int, bytes] | None:
        to_group = frame[:2] == b"\x33\x33"
        if not to_group and frame[:6] != port.mac:
            raise MalformedError("not_our_mac")
        datagram = wire6.decode_ipv6(frame[14:])
        whole_icmp = datagram.protocol == ICMP6 and not datagram.fragment_at
        if to_group and not (whole_icmp and nd.is_nd(datagram)):
            raise MalformedError("not_ours")
        if whole_icmp and nd.is_nd(datagram):
            return nd.nd(self, port, frame, datagram)
        if whole_icmp:
            return answers.icmp(self, port, frame, datagram)
        if datagram.protocol == ICMP6 and not datagram.offset:
            raise MalformedError("fragment")
        if not datagram.offset:
            wire6.check_transport(datagram)
        return self.pass_on(port, frame, datagram)

    def pass_on(self, port: Port, frame: bytes, datagram: Datagram) -> tuple[int, bytes] | None:
        if datagram.offset:
            return self.later_fragment(datagram)
        if datagram.destination in self.locals + self.foreign:
            return self.from_backend(datagram)
        if self.sync and self.sync.is_for(datagram):
            hear(self, self.sync, datagram)
            return None
        return self.from_client(port, frame, datagram)

    @staticmethod
    def decode(frame: bytes) -> Datagram:
        """The datagram in a frame that handle() took for one."""
        if frame[12:14] == b"\x08\x00":
            return wire.decode_ipv4(frame[14:])
        datagram = wire6.decode_ipv6(frame[14:])
        if datagram.protocol != ICMP6 and not datagram.offset:
            wire6.check_transport(datagram)
        return datagram

    def arp(self, port: Port, frame: bytes) -> tuple[int, bytes] | None:
        if len(frame) < 42:
            raise MalformedError("truncated")
        kind = struct.unpack_from("!HHBB", frame, 14)
        operation = struct.unpack_from("!H", frame, 20)[0]
        sender_mac, target = frame[22:28], struct.unpack_from("!I", frame, 38)[0]
        sender = struct.unpack_from("!I", frame, 28)[0]
        if kind != (1, 0x0800, 6, 4) or sender_mac[0] & 1:
            raise MalformedError("bad_arp")
        entry = self.neighbours.get((port.index, sender))
        if entry:
            entry.hear(sender_mac, self.now_s)
        claims = self.hear_claim(port, sender or target, sender_mac, probes=not sender)
        if operation == 1 and self.answers_for(port, target, sender):
            head = sender_mac + port.mac + frame[12:20] + b"\0\2"
            return port.index, head + port.mac + frame[38:42] + sender_mac + frame[28:32] + frame[42:]
        if not entry and not claims:
            raise MalformedError("bad_arp")
        return None

    def answers_for(self, port: Port, address: Address, sender: Address | None = None) -> bool:
        if address in port.own:
            return True
        if address in self.locals + self.foreign:
            here = self.local_port(address) is port
            return here and (not self.turns or (address != sender and self.turns.owned(address)))
        return port.index == 0 and address != sender and self.vips.owned(address)

    def is_vip(self, address: Address) -> bool:
        return any(vip == address for vip, _, _ in self.listeners)

    def is_own(self, address: Address) -> bool:
        return address in self.locals or any(address in p.own for p in self.ports)

    def from_backend(self, datagram: Datagram) -> tuple[int, bytes]:
        flow = self.replies.get((datagram.destination, datagram.ports[1]))
        source = (datagram.source, datagram.ports[0])
        if not flow or flow.protocol != datagram.protocol or flow.backend != source:
            raise MalformedError(self.without_flow)
        sent = self.send(self.ports[0], datagram, flow.vip, flow.client)
        sent = client_address.from_backend(flow, datagram, sent, self.local_port(flow.local[0]))
        self.touch(flow, datagram.flags, "backend")
        return self.first_fragment(datagram, flow, sent)

    def from_client(self, port: Port, frame: bytes, datagram: Datagram) -> tuple[int, bytes]:
        key = (datagram.source, datagram.ports[0], datagram.destination, datagram.ports[1], datagram.protocol)
        flow = self.flows.get(key)
        if flow:
            client_address.refuse_fragment(flow.tells, datagram, untold=flow.untold)
        if flow and flow.protocol == TCP and flow.closed() and datagram.flags & (SYN | ACK) == SYN:
            self.end(key)
            flow = None
        if not flow:
            flow = self.begin(key, port, frame, datagram)
        out = self.local_port(flow.local[0])
        sent = self.send(out, datagram, flow.local, flow.backend)
        sent = client_address.from_client(self, flow, datagram, sent, out)
        self.touch(flow, datagram.flags, "client")
        return self.first_fragment(datagram, flow, sent)

    def first_fragment(self, datagram: Datagram, flow: Flow, sent: tuple[int, bytes]) -> tuple[int, bytes]:
        """Remember the flow for the rest; all leave under a number of our own."""
        if not datagram.more:
            return sent
        self.fragments[datagram.identity] = (flow, self.fragment_id, self.now_s)
        self.fragment_id = (self.fragment_id + 1) & 0xFFFFFFFF
        return sent[0], datagram.renumbered(sent[1], self.fragments[datagram.identity][1])

    def later_fragment(self, datagram: Datagram) -> tuple[int, bytes]:
        """Goes where the first one went; without it there is no telling."""
        flow, number, seen_s = self.fragments.get(datagram.identity, (None, 0, 0))
        if not flow or self.now_s - seen_s >= FRAGMENT_FORGET_S or flow not in self.flows.values():
            raise MalformedError("fragment")
        if datagram.source == flow.client[0] and datagram.destination == flow.vip[0]:
            sent = self.send(self.local_port(flow.local[0]), datagram, flow.local, flow.backend)
        else:
            sent = self.send(self.ports[0], datagram, flow.vip, flow.client)
        flow.last_seen_s = self.now_s
        return sent[0], datagram.renumbered(sent[1], number)

    def send(
        self, port: Port, datagram: Datagram, source: Endpoint, destination: Endpoint
    ) -> tuple[int, bytes]:
        mac = self.way_out(port, datagram, destination[0])
        addresses, ports = (source[0], destination[0]), (source[1], destination[1])
        return port.index, mac + port.mac + datagram.ether_type + wire.rewritten(datagram, addresses, ports)

    # Flows

    def begin(self, key: Key, port: Port, frame: bytes, datagram: Datagram) -> Flow:
        listener = self.listeners.get(key[2:])
        if not listener:
            known = self.is_vip(key[2]) or self.is_own(key[2])
            raise MalformedError("no_listener" if known else "not_ours")
        if datagram.protocol == TCP and datagram.flags & (SYN | ACK | FIN | RST) != SYN:
            raise MalformedError(self.without_flow)
        client_address.refuse_fragment(listener.get("client_address", "none"), datagram, untold=True)
        if datagram.ttl <= 1:
            raise MalformedError("ttl_exceeded")
        policy.admit(self, listener, key)
        family = type(key[0])
        if self.live(family) >= self.max_flows and not policy.half_open(self, family):
            raise MalformedError("flow_table_full")
        backend = policy.choose(self, listener, key)
        policy.make_room(self, family, datagram.protocol)
        free = self.free[family]
        if not free:
            raise MalformedError("sync_joining" if self.joins else "local_ports_exhausted")
        flow = Flow(
            (key[0], key[1]), (key[2], key[3]), free[0], (backend.address, backend.port),
            key[4], backend, self.schedulers[listener["name"]], listener["timeouts"], self.now_s, "syn" if key[4] == TCP else "udp",
        )  # fmt: skip
        free.popleft()
        try:
            client_hop = self.look_up(self.ports[0], key[0])
            flow.hops = {client_hop, self.look_up(self.local_port(flow.local[0]), flow.backend[0])}
        except MalformedError:
            free.append(flow.local)
            raise
        entry = self.neighbours[client_hop]
        if port.index == 0 and not entry.mac and port.on_link(key[0]):
            entry.hear(frame[6:12], self.now_s)
        self.flows[key] = self.replies[flow.local] = flow
        backend.active += 1
        flow.created_s = self.now_s
        client_address.begin(listener, flow, datagram)
        flow.counted = bool(listener.get("client_limits", {}).get("max_connections"))
        self.set_timeout(flow)
        return flow

    def live(self, family: type) -> int:
        """Flows of a family; each has the table for itself."""
        return sum(type(key[0]) is family and not flow.foreign for key, flow in self.flows.items())

    def end(self, key: Key) -> None:
        flow = self.flows.pop(key)
        del self.replies[flow.local]
        if flow.foreign:
            return
        flow.owner.active -= 1
        self.free[type(key[0])].append(flow.local)

    def touch(self, flow: Flow, flags: int, side: str) -> None:
        flow.last_seen_s = self.now_s
        if flow.protocol == UDP:
            return
        before = (flow.phase, frozenset(flow.ends))
        self.advance(flow, flags, side)
        if before != (flow.phase, frozenset(flow.ends)):
            self.set_timeout(flow)

    def advance(self, flow: Flow, flags: int, side: str) -> None:
        """RFC 9293, section 3.3.2, as far as it shows from outside."""
        if flow.closed():
            return
        if flags & RST:
            flow.phase = "reset"
        elif flags & FIN:
            flow.ends.add(side)
            flow.phase = "fin"
        elif flow.phase == "syn" and side == "backend" and flags & SYN and flags & ACK:
            flow.phase = "syn_ack"
        elif flow.phase == "syn_ack" and side == "client" and flags & ACK and not flags & SYN:
            flow.phase = "established"

    def set_timeout(self, flow: Flow) -> None:
        """Of the listener's present generation; the last one's where the listener is gone."""
        current = self.listener_of(flow)
        if current:
            flow.timeouts = current["timeouts"]
        elif flow.timeout_s:
            return
        phase = {"syn_ack": "syn", "reset": "fin"}.get(flow.phase, flow.phase)
        flow.timeout_s = flow.timeouts[f"{phase}_s"]
