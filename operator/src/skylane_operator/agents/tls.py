"""The operator's own certificate authority and serving certificate. Pure but for key generation: time is an argument."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
CERTIFICATE, KEY = "tls.crt", "tls.key"

# Agents hold the CA through a ConfigMap; it is replaced by a running operator only at the end of its life.
CA_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)

Files = dict[str, bytes]


def renewed(files: Files | None, server_name: str, now: datetime) -> Files:
    """TLS files that are good for `server_name` at `now`: the given ones if they are, else with new parts.

    A new serving certificate is signed by the CA there is, so agents need not learn anything; a CA that is missing,
    unreadable or near its end is replaced with everything it signed.
    """
    files = dict(files or {})
    if not _good_authority(files, now):
        files |= _new_authority(now)
    if not _good_certificate(files, server_name, now):
        files |= _new_certificate(files, server_name, now)
    return files


def _good_authority(files: Files, now: datetime) -> bool:
    pair = _pair(files, CA_CERTIFICATE, CA_KEY)
    return pair is not None and now < pair[0].not_valid_after_utc - LIFETIME


def _good_certificate(files: Files, server_name: str, now: datetime) -> bool:
    pair = _pair(files, CERTIFICATE, KEY)
    if pair is None:
        return False
    certificate = pair[0]
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(files[CA_CERTIFICATE]))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, x509.ExtensionNotFound):
        return False
    return (
        server_name in names.get_values_for_type(x509.DNSName)
        and now < certificate.not_valid_after_utc - RENEW_BEFORE
    )


def _pair(
    files: Files, certificate_name: str, key_name: str
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Certificate and key if both are there, readable and belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(files[certificate_name])
        key = serialization.load_pem_private_key(files[key_name], password=None)
    except (KeyError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return certificate, key


def _new_authority(now: datetime) -> Files:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "skylane-operator CA")])
    builder = _builder(name, name, key, now, CA_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return {CA_CERTIFICATE: _pem(builder.sign(key, hashes.SHA256())), CA_KEY: _key_pem(key)}


def _new_certificate(files: Files, server_name: str, now: datetime) -> Files:
    pair = _pair(files, CA_CERTIFICATE, CA_KEY)
    if pair is None:
        raise ValueError("the authority that shall sign is not usable")
    authority, authority_key = pair
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "skylane-operator")])
    builder = _builder(name, authority.subject, key, now, LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name)]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return {CERTIFICATE: _pem(builder.sign(authority_key, hashes.SHA256())), KEY: _key_pem(key)}


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
