"""The commands by which an operator gets a certificate authority, and a certificate from it."""

from pathlib import Path

from cryptography import x509
from typer.testing import CliRunner

from dbaas.manage.main import app


def test_an_authority_is_made_and_signs_for_names_and_addresses(tmp_path: Path) -> None:
    _run(
        "authority", "create", "--certificate", f"{tmp_path}/ca.crt", "--key", f"{tmp_path}/ca.key"
    )
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0
    (tmp_path / "dbaas.conf").write_text(
        "[catalog]\nconnection = mysql+pymysql://nobody@127.0.0.1:9/nothing\n[secrets]\n"
        f"authority_certificate_file = {tmp_path}/ca.crt\nauthority_key_file = {tmp_path}/ca.key\n"
    )
    _run(
        *("--config-file", f"{tmp_path}/dbaas.conf", "authority", "issue"),
        *("--certificate", f"{tmp_path}/b.crt", "--key", f"{tmp_path}/b.key"),
        *("broker.example", "192.0.2.7"),
    )
    made = x509.load_pem_x509_certificate((tmp_path / "b.crt").read_bytes())
    named = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert named.get_values_for_type(x509.DNSName) == ["broker.example"]
    assert [str(one) for one in named.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    made.verify_directly_issued_by(
        x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    )


def test_an_authority_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("precious")
    arguments = ["--certificate", f"{tmp_path}/ca.crt", "--key", f"{tmp_path}/ca.key"]
    done = CliRunner().invoke(app, ["authority", "create", *arguments])
    assert done.exit_code == 2
    assert (tmp_path / "ca.key").read_text() == "precious"


def _run(*arguments: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
