"""The certificates are checked by the strictest verifier at hand: OpenSSL's, over a handshake."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbaas.common import certificates


def handshake(authority: str, server: certificates.Certificate, name: str, place: Path) -> str:
    """Return the name of the protocol that a strict client and this server agree upon."""
    certificate, key = place / "server.pem", place / "server.key"
    certificate.write_text(server.cert_pem)
    key.write_text(server.key_pem.reveal())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    asking = ssl.create_default_context(cadata=authority)
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    host = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, host):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return str(client.version())


@pytest.fixture(scope="module")
def authority() -> certificates.Authority:
    return certificates.create_authority("test authority")


@pytest.mark.parametrize("name", ["10.1.2.3", "fd00::7", "db.example.org"])
def test_a_strict_client_accepts_a_server_by_each_of_its_names(
    authority: certificates.Authority, tmp_path: Path, name: str
) -> None:
    server = certificates.issue(
        authority, "server", ["10.1.2.3", "fd00::7"], ["db.example.org"], days=30
    )
    assert handshake(authority.cert_pem, server, name, tmp_path) == "TLSv1.3"


def test_a_client_refuses_a_server_under_another_name(
    authority: certificates.Authority, tmp_path: Path
) -> None:
    server = certificates.issue(authority, "server", ["10.1.2.3"], [], days=30)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(authority.cert_pem, server, "10.1.2.4", tmp_path)


def test_a_client_refuses_a_server_that_another_authority_signed(
    authority: certificates.Authority, tmp_path: Path
) -> None:
    other = certificates.create_authority("test authority")
    server = certificates.issue(other, "server", ["10.1.2.3"], [], days=30)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.cert_pem, server, "10.1.2.3", tmp_path)


def test_a_client_refuses_a_certificate_that_has_expired(
    authority: certificates.Authority, tmp_path: Path
) -> None:
    server = certificates.issue(authority, "server", ["10.1.2.3"], [], days=-0.01)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(authority.cert_pem, server, "10.1.2.3", tmp_path)


def test_a_server_may_not_sign_for_others(
    authority: certificates.Authority, tmp_path: Path
) -> None:
    server = certificates.issue(authority, "server", ["10.1.2.3"], [], days=30)
    pretender = certificates.Authority(server.cert_pem, server.key_pem)
    forged = certificates.issue(pretender, "forged", ["10.1.2.3"], [], days=30)
    both = authority.cert_pem + server.cert_pem
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(both, forged, "10.1.2.3", tmp_path)


def test_a_private_key_does_not_show(authority: certificates.Authority) -> None:
    assert "PRIVATE" not in repr(authority)


def test_a_description_says_what_the_certificate_says(authority: certificates.Authority) -> None:
    made = certificates.issue(authority, "orders", ["10.1.2.3", "fd00::7"], ["orders"], 30)
    said = certificates.describe(made.cert_pem + authority.cert_pem)
    assert said.common_name == "orders"
    assert said.names == ("DNS:orders", "IP:10.1.2.3", "IP:fd00::7")
    left = said.expires_at - datetime.now(UTC).replace(tzinfo=None)
    assert timedelta(days=29) < left <= timedelta(days=30)
