"""The operator's own certificate authority and serving certificate. Pure but for key generation: time is an argument."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
CERTIFICATE, KEY = "tls.crt", "tls.key"
# The authority to come. Agents trust it already; it signs once all of them have had time to hear of it.
NEXT_CA_CERTIFICATE, NEXT_CA_KEY = "ca-next.crt", "ca-next.key"

CA_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
# From when an authority is told to agents until it signs. A kubelet brings a ConfigMap's change into a pod within two minutes.
ANNOUNCED = timedelta(days=1)
_CLOCK_SKEW = timedelta(minutes=5)

Files = dict[str, bytes]


def renewed(files: Files | None, server_name: str, now: datetime) -> Files:
    """TLS files that are good for `server_name` at `now`: the given ones if they are, else with new parts.

    A new serving certificate is signed by the CA there is, so agents need not learn anything. A CA that nears its end has its
    successor announced first (`trusted`) and takes over later: whoever dials at any moment trusts what is shown. One that is
    missing or unreadable, or of another time than ours, is replaced at once with everything it signed.
    """
    files = dict(files or {})
    if not _good_pair(files, CA_CERTIFICATE, CA_KEY, now):
        files |= _new_authority(now)
        files = _without_next(files)
    files = _with_next(files, now) if _is_to_be_followed(files, now) else _without_next(files)
    if not _good_certificate(files, server_name, now):
        files |= _new_certificate(files, server_name, now)
    return files


def trusted(files: Files) -> bytes:
    """The certificates that agents shall trust: that of the CA, and that of its successor if it has one."""
    return files[CA_CERTIFICATE] + files.get(NEXT_CA_CERTIFICATE, b"")


def _good_pair(files: Files, certificate_name: str, key_name: str, now: datetime) -> bool:
    """Whether it can sign.

    Not if it is of the future: the clock was wrong when it was made, and whose clock is right would refuse it.
    """
    pair = _pair(files, certificate_name, key_name)
    if pair is None:
        return False
    return pair[0].not_valid_before_utc <= now < pair[0].not_valid_after_utc - RENEW_BEFORE


def _is_to_be_followed(files: Files, now: datetime) -> bool:
    authority = x509.load_pem_x509_certificate(files[CA_CERTIFICATE])
    return now >= authority.not_valid_after_utc - LIFETIME


def _with_next(files: Files, now: datetime) -> Files:
    """Announce a successor, or have the one that has been announced for long enough take over."""
    if not _good_pair(files, NEXT_CA_CERTIFICATE, NEXT_CA_KEY, now):
        new = _new_authority(now)
        return files | {NEXT_CA_CERTIFICATE: new[CA_CERTIFICATE], NEXT_CA_KEY: new[CA_KEY]}
    announced = x509.load_pem_x509_certificate(files[NEXT_CA_CERTIFICATE]).not_valid_before_utc + _CLOCK_SKEW
    if now < announced + ANNOUNCED:
        return files
    following = {CA_CERTIFICATE: files[NEXT_CA_CERTIFICATE], CA_KEY: files[NEXT_CA_KEY]}
    return _without_next(files | following)


def _without_next(files: Files) -> Files:
    return {name: one for name, one in files.items() if name not in {NEXT_CA_CERTIFICATE, NEXT_CA_KEY}}


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
        and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE
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
    lifetime = min(LIFETIME, authority.not_valid_after_utc - now)
    builder = _builder(name, authority.subject, key, now, lifetime)
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
