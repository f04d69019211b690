"""Cases of who owns the local addresses of pods that sync: own ones when the pod has all flows, those of a peer while it is not there."""

from __future__ import annotations

from packets.build import LOCAL, case, listener
from packets.build6 import LOCAL6, listener6
from packets.cases_sync import COMPLETE, PEER_LOCAL, PEER_LOCAL6, SyncScript, joined, sync_base
from packets.cases_vips import LOWER_MAC, claimed, probed
from packets.harness import Case

LEAVING, JOINING = 4, 1


def asked(script: SyncScript) -> SyncScript:
    """Who has the local addresses of both pods?"""
    for address in (LOCAL, PEER_LOCAL):
        script.who_has(address)
    for address in (LOCAL6, PEER_LOCAL6):
        script.who_has6(address)
    return script


def heard(script: SyncScript, from_s: float, to_s: float, flags: int = COMPLETE) -> SyncScript:
    """The peer's heartbeats, every 100 ms."""
    for tenths in range(round(from_s * 10), round(to_s * 10)):
        script.at(tenths / 10 + 0.05).tell(flags=flags)
    return script


def sync_own_local_addresses() -> Case:
    """They are probed for when the pod has all flows, then answered and announced; a peer that is there keeps its own. Nobody resets what the owner may know."""
    script = asked(joined())
    script.tcp_reply("A", 1024).tcp_reply("A", 1024, local=PEER_LOCAL)
    asked(heard(script, 0.4, 0.9)).tcp_reply("A", 1024).tcp_reply("A", 1024, local=PEER_LOCAL)
    asked(heard(script, 0.9, 3.4))
    return case(sync_own_local_addresses.__doc__, script, base=sync_base())


def sync_takeover() -> Case:
    """The local addresses of a peer that falls silent are probed for and taken; they are let go at once when it is heard again and has all flows."""
    script = heard(joined(), 0.4, 1)
    asked(script.at(1.45))
    asked(script.at(1.75)).tcp_reply("A", 1024, local=PEER_LOCAL)
    asked(heard(script, 1.8, 2.2, JOINING))
    asked(heard(script, 2.2, 2.6))
    return case(sync_takeover.__doc__, script, listener(), listener6(), base=sync_base())


def sync_takeover_of_who_leaves() -> Case:
    """A peer that says that it leaves is alive, but its addresses are another's."""
    script = heard(heard(joined(), 0.4, 1), 1, 1.6, COMPLETE | LEAVING)
    return case(sync_takeover_of_who_leaves.__doc__, asked(script), base=sync_base())


def sync_takeover_in_vain() -> Case:
    """Whoever answers a probe keeps the address, a peer whose datagrams are lost too; the lower MAC goes on of two that probe. One claim is defended against."""
    script = joined()
    claimed(script.at(0.45), PEER_LOCAL)
    asked(script.at(0.9))
    probed(script.at(1.55), PEER_LOCAL, LOWER_MAC)
    asked(script.at(2.3))
    asked(script.at(2.95))
    for moment_s in (3.05, 3.35):
        claimed(script.at(moment_s), PEER_LOCAL)
        asked(script.at(moment_s + 0.15))
    return case(sync_takeover_in_vain.__doc__, script, base=sync_base())


LOCAL_OWNER = [
    sync_own_local_addresses, sync_takeover, sync_takeover_of_who_leaves, sync_takeover_in_vain,
]  # fmt: skip
