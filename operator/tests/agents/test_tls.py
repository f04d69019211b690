from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from skylane_operator.agents.tls import CA_CERTIFICATE, CA_LIFETIME, CERTIFICATE, KEY, LIFETIME, renewed

NAME = "skylane-operator.skylane.svc"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


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


def test_an_authority_near_its_end_is_replaced_with_what_it_signed(files):
    later = renewed(files, NAME, NOW + CA_LIFETIME - timedelta(days=1))
    assert later[CA_CERTIFICATE] != files[CA_CERTIFICATE]
    assert later[CERTIFICATE] != files[CERTIFICATE]


@pytest.mark.parametrize("damaged", [CERTIFICATE, KEY, CA_CERTIFICATE])
def test_damaged_files_are_replaced_by_good_ones(files, damaged):
    mended = renewed({**files, damaged: b"cut off"}, NAME, NOW)
    certificate = x509.load_pem_x509_certificate(mended[CERTIFICATE])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(mended[CA_CERTIFICATE]))


def test_another_name_needs_another_certificate_only(files):
    other = renewed(files, "other.svc", NOW)
    assert other[CERTIFICATE] != files[CERTIFICATE]
    assert other[CA_CERTIFICATE] == files[CA_CERTIFICATE]
