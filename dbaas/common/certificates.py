"""Makes the deployment's own certificate authority, and the certificates that it signs.

All keys are on the curve P-256. The extensions are those that RFC 5280 asks for, so that strict
verifiers (OpenSSL's `X509_STRICT`, which Python 3.13 turns on) accept what is made here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from oslo_config import cfg

from dbaas.contract import errors
from dbaas.contract.secret import Secret

AUTHORITY_DAYS = 3650
SKEW = timedelta(hours=1)
"""A certificate is valid from a little earlier on, for the sake of guests whose clocks lag."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, both PEM; the key is in PKCS #8 without a passphrase."""

    cert_pem: str
    key_pem: Secret


@dataclass(frozen=True)
class Authority(Certificate):
    """A certificate that may sign others."""


def from_conf(conf: cfg.ConfigOpts) -> Authority:
    """Return this deployment's authority; raise `Invalid` saying what is wrong with it."""
    named = conf.secrets.authority_certificate_file, conf.secrets.authority_key_file
    if not all(named):
        raise errors.Invalid("[secrets] authority_certificate_file and authority_key_file: not set")
    try:
        cert_pem, key_pem = (Path(name).read_text() for name in named)
        certificate = x509.load_pem_x509_certificate(cert_pem.encode())
        key = serialization.load_pem_private_key(key_pem.encode(), None)
    except OSError as error:
        raise errors.Invalid(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise errors.Invalid(f"{' and '.join(named)} are no certificate and key in PEM") from error
    if certificate.public_key() != key.public_key():
        raise errors.Invalid(f"the key in {named[1]} is not that of the certificate in {named[0]}")
    return Authority(cert_pem, Secret(key_pem))


def create_authority(name: str) -> Authority:
    """Return a new authority, signed by itself and valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    certificate = (
        _builder(subject, subject, key.public_key(), key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(_certificate_pem(certificate), _key_pem(key))


def issue(
    authority: Authority,
    common_name: str,
    addresses: Iterable[str],
    dns_names: Iterable[str],
    days: float,
) -> Certificate:
    """Return a new key with a certificate for a server at these addresses and names.

    The `common_name` (64 characters at most) is a label: clients check addresses and names only.
    """
    signer = serialization.load_pem_private_key(authority.key_pem.reveal().encode(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key")
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.encode()).subject
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.IPAddress(ip_address(address)) for address in addresses]
    names += [x509.DNSName(name) for name in dns_names]
    certificate = (
        _builder(_subject(common_name), issuer, key.public_key(), signer.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Certificate(_certificate_pem(certificate), _key_pem(key))


@dataclass(frozen=True)
class Description:
    """What a certificate says; `names` as `DNS:name` and `IP:address`, `expires_at` in UTC."""

    common_name: str
    names: tuple[str, ...]
    expires_at: datetime


def describe(pem: str) -> Description:
    """Return what the first certificate in `pem` says."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    names = extension.value
    return Description(
        common_name=str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value),
        names=(
            *(f"DNS:{name}" for name in names.get_values_for_type(x509.DNSName)),
            *(f"IP:{address}" for address in names.get_values_for_type(x509.IPAddress)),
        ),
        expires_at=certificate.not_valid_after_utc.replace(tzinfo=None),
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    days: float,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    return Secret(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    )
