"""What a status tells of names; of upgrades see plan/test_upgrade.py."""

from skylane_operator.plan.dns import Names, Record
from skylane_operator.status import Told

WEB = "web.example.org"
ONE = Record(WEB, "A", ("198.51.100.10",))


def published(names, **kwargs):
    return next(v for v in Told(names=names, **kwargs).verdicts if v.type == "DNSPublished")


def test_no_name_no_condition():
    assert [v.type for v in Told().verdicts] == ["UpToDate"]


def test_names_and_what_is_left_out():
    names = Names((ONE, Record(WEB, "AAAA", ("2001:db8::10",))), {WEB: ("198.51.100.11: no backend",)})
    found = published(names)
    assert (found.status, found.reason) == ("True", "Published")
    assert found.message == f"{WEB} is 198.51.100.10, 2001:db8::10, without 198.51.100.11: no backend"


def test_a_name_with_nothing_in_service():
    names = Names((ONE,), {"new.example.org": ("198.51.100.12: not programmed yet",)}, ("new.example.org",))
    found = published(names)
    assert (found.status, found.reason) == ("False", "NothingInService")
    assert found.message == "new.example.org has no VIP in service (198.51.100.12: not programmed yet)"


def test_they_could_not_be_written():
    found = published(Names((ONE,), {}), names_fault="the API server does not know DNSEndpoint")
    assert (found.status, found.reason) == ("False", "NotWritten")
    assert found.message == "the API server does not know DNSEndpoint"
