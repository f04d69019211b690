"""Cases of who owns a VIP on its segment: probing, standing by, giving way, defending."""

from __future__ import annotations

from packets.build import VIP, Script, case, listener, up
from packets.build6 import ALL_NODES, VIP6, Script6, base6, listener6, up6
from packets.harness import Case

OTHER_MAC, LOWER_MAC = "02:bb:00:00:00:07", "02:00:00:00:00:00"
SECOND, THIRD = "198.51.100.11", "198.51.100.12"
NOBODY = "0.0.0.0"  # noqa: S104 - the sender of a probe


def asked(script: Script, *moments_s: float, vip: str = VIP) -> Script:
    for moment_s in moments_s:
        script.at(moment_s).who_has(vip)
    return script


def claimed(script: Script, vip: str = VIP, mac: str = OTHER_MAC) -> Script:
    """Somebody else answers a probe, or announces himself."""
    return script.gateway(mac, vip)


def probed(script: Script, vip: str, mac: str) -> Script:
    script.who_has(vip, NOBODY)
    frame = bytearray(script.frames[-1].data)
    frame[6:12] = frame[22:28] = bytes.fromhex(mac.replace(":", ""))
    script.frames[-1].data = bytes(frame)
    return script


def vip_probed_before_it_is_owned() -> Case:
    """Three probes, 100 ms apart, and no answer before they have found nobody; then announcements, soon and every 10 s. A VIP that is not ours is silent."""
    quiet = listener("quiet", vip=SECOND, arp=False)
    script = (
        asked(Script(), 0.001, 0.15, 0.299, 0.301, 1.5).who_has(SECOND).at(33).who_has(VIP).who_has(SECOND)
    )
    return case(vip_probed_before_it_is_owned.__doc__, script, listener(), quiet, cold=True)


def vip_of_somebody_else() -> Case:
    """Whoever answers a probe keeps the VIP; it is probed for every second, and taken when nobody answers. Traffic that comes all the same is forwarded."""
    script = claimed(up().at(0.05)).tcp("S")
    for moment_s in (1.2, 2.3):
        claimed(asked(script, moment_s - 0.05).at(moment_s))
    return case(
        vip_of_somebody_else.__doc__, asked(script, 3.5, 3.59, 3.71, 5).who_has(VIP, NOBODY), cold=True
    )


def vip_defended_once() -> Case:
    """One claim in 10 s is answered by an announcement, the second one makes us yield; so two owners never last. Claims of our own MAC are echoes."""
    script = claimed(claimed(up().at(2.05), mac="02:00:00:00:00:01"))
    script = claimed(asked(script, 2.2).at(13.05)).at(14.05).who_has(VIP, sender=VIP)
    return case(vip_defended_once.__doc__, asked(script, 14.2, 15.0, 15.3, 15.5, 16.0))


def vip_probed_for_by_two() -> Case:
    """Of two that probe at one time the lower MAC goes on. An owner answers a probe and does not mind it."""
    script = probed(probed(up().at(0.15), VIP, OTHER_MAC), SECOND, LOWER_MAC)
    for moment_s in (0.45, 1.1, 1.6):
        asked(script, moment_s).who_has(SECOND)
    script = probed(probed(script.at(2), VIP, LOWER_MAC), SECOND, OTHER_MAC)
    return case(
        vip_probed_for_by_two.__doc__,
        asked(script, 3.0).who_has(SECOND),
        listener(),
        listener("second", vip=SECOND),
        cold=True,
    )


def vip_granted_again() -> Case:
    """A VIP that was taken from us is silent at once, and probed for when it comes back, however short that was."""
    switches = [
        (1.05, [listener(arp=False)]),
        (2.05, [listener()]),
        (3.05, [listener(arp=False)]),
        (3.06, [listener()]),
    ]
    script = asked(up(), 1.0, 1.06, 2.06, 2.3, 2.45, 3.0, 3.055, 3.065, 3.3, 3.45)
    return case(vip_granted_again.__doc__, script, switches=switches)


def vip_of_several_listeners() -> Case:
    """It is granted if any listener says so, and not probed for again while one of them goes on saying so."""
    second, third = listener("second", port=81), listener("third", port=82, arp=False)
    switches = [
        (1.05, [listener(), second]),
        (2.05, [second, third]),
        (3.05, [third]),
        (4.05, [third, listener()]),
    ]
    script = asked(up(), 1.0, 1.06, 2.06, 3.06, 4.06, 4.5)
    return case(vip_of_several_listeners.__doc__, script, switches=switches)


def asked6(script: Script6, *moments_s: float) -> Script6:
    for moment_s in moments_s:
        script.at(moment_s)
        script.who_has6(VIP6)
    return script


def ipv6_vip_probed_before_it_is_owned() -> Case:
    """Duplicate address detection (RFC 4862): solicitations from nowhere; an advertisement of somebody else keeps us silent."""
    script = up6()
    script.at(0.05)
    asked6(script.neighbour(OTHER_MAC, VIP6, dst=ALL_NODES, S=0), 0.3, 1.2)
    asked6(script.neighbour(OTHER_MAC, VIP6, dst=ALL_NODES, S=0, option=False), 2.3, 2.6, 3.0)
    quiet = listener6("quiet", vip="2001:db8:1::11", arp=False)
    return case(
        ipv6_vip_probed_before_it_is_owned.__doc__, script, listener6(), quiet, base=base6(), cold=True
    )


def ipv6_vip_defended_once() -> Case:
    """Solicitations from the VIP claim it, as advertisements of it do; those from nowhere only where nobody owns it."""
    script = up6()
    script.at(2.05)
    script.who_has6(VIP6, sender="::", mac=LOWER_MAC).who_has6("2001:db8:77::1", sender=VIP6, mac=OTHER_MAC)
    asked6(script, 2.2)
    script.neighbour(OTHER_MAC, VIP6, dst=ALL_NODES, S=0)
    asked6(script, 2.3).at(3.35)
    script.who_has6(VIP6, sender="::", mac=OTHER_MAC).who_has6(VIP6, sender="::", mac=LOWER_MAC)
    return case(ipv6_vip_defended_once.__doc__, asked6(script, 3.7, 4.8), listener6(), base=base6())


VIPS = [
    vip_probed_before_it_is_owned, vip_of_somebody_else, vip_defended_once, vip_probed_for_by_two, vip_granted_again,
    vip_of_several_listeners, ipv6_vip_probed_before_it_is_owned, ipv6_vip_defended_once,
]  # fmt: skip
