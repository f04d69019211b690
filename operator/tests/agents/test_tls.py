from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from skylane_operator.agents.tls import (
    ANNOUNCED,
    CA_CERTIFICATE,
    CA_LIFETIME,
    CERTIFICATE,
    KEY,
    LIFETIME,
    NEXT_CA_CERTIFICATE,
    RENEW_BEFORE,
    renewed,
    trusted,
)

NAME = "skylane-operator.skylane.svc"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def files():
    return renewed(None, NAME, NOW)


def test_good_files_are_left_alone(files):
    assert renewed(files, NAME, NOW + timedelta(days=1)) == files


def test_the_certificate_is_for_the_name_and_from_the_authority(files):
    authority = x509.load_pem_x509_certificate(files[CA_CERTIFICATE])
    certificate = x509.load_pem_x509_certificate(files[CERTIFICATE])
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]


def test_a_certificate_near_its_end_is_replaced_under_the_same_authority(files):
    later = renewed(files, NAME, NOW + LIFETIME - timedelta(days=29))
    assert later[CERTIFICATE] != files[CERTIFICATE]
    assert later[CA_CERTIFICATE] == files[CA_CERTIFICATE]


def test_an_authority_has_its_successor_announced_before_it_takes_over(files):
    end = NOW + CA_LIFETIME
    assert renewed(files, NAME, end - LIFETIME - HOUR).keys() == files.keys()
    announced = renewed(files, NAME, end - LIFETIME)
    assert announced[CA_CERTIFICATE] == files[CA_CERTIFICATE]
    assert trusted(announced) == files[CA_CERTIFICATE] + announced[NEXT_CA_CERTIFICATE]
    _signed_by(announced, files[CA_CERTIFICATE])
    waiting = renewed(announced, NAME, end - LIFETIME + ANNOUNCED - HOUR)
    assert trusted(waiting) == trusted(announced)
    after = renewed(waiting, NAME, end - LIFETIME + ANNOUNCED)
    assert trusted(after) == after[CA_CERTIFICATE] == announced[NEXT_CA_CERTIFICATE]
    assert after.keys() == files.keys()
    _signed_by(after, announced[NEXT_CA_CERTIFICATE])


def test_an_authority_that_nobody_looked_after_still_has_its_successor_announced(files):
    late = NOW + CA_LIFETIME - RENEW_BEFORE - HOUR
    announced = renewed(files, NAME, late)
    assert announced[CA_CERTIFICATE] == files[CA_CERTIFICATE]
    certificate = x509.load_pem_x509_certificate(announced[CERTIFICATE])
    assert certificate.not_valid_after_utc == NOW + CA_LIFETIME
    later = renewed(files, NAME, late + HOUR)
    assert later[CA_CERTIFICATE] != files[CA_CERTIFICATE]
    _signed_by(later, later[CA_CERTIFICATE])


@pytest.mark.parametrize("wrong_for", [timedelta(days=1), timedelta(days=10_000)])
def test_what_a_clock_that_was_ahead_has_made_is_replaced(wrong_for):
    """Agents, whose clocks are right, would refuse it until that time has come."""
    ahead = renewed(None, NAME, NOW + wrong_for)
    mended = renewed(ahead, NAME, NOW)
    assert x509.load_pem_x509_certificate(mended[CERTIFICATE]).not_valid_before_utc <= NOW
    assert x509.load_pem_x509_certificate(mended[CA_CERTIFICATE]).not_valid_before_utc <= NOW
    _signed_by(mended, mended[CA_CERTIFICATE])


def _signed_by(files, authority):
    certificate = x509.load_pem_x509_certificate(files[CERTIFICATE])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))


@pytest.mark.parametrize("damaged", [CERTIFICATE, KEY, CA_CERTIFICATE])
def test_damaged_files_are_replaced_by_good_ones(files, damaged):
    mended = renewed({**files, damaged: b"cut off"}, NAME, NOW)
    certificate = x509.load_pem_x509_certificate(mended[CERTIFICATE])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(mended[CA_CERTIFICATE]))


def test_another_name_needs_another_certificate_only(files):
    other = renewed(files, "other.svc", NOW)
    assert other[CERTIFICATE] != files[CERTIFICATE]
    assert other[CA_CERTIFICATE] == files[CA_CERTIFICATE]
