"""`dbaas-manage authority`: the deployment's own certificate authority, and what it signs."""

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from dbaas.common import certificates
from dbaas.common.certificates import Certificate
from dbaas.host import files
from dbaas.manage.deployment import OUT, deployment

app = typer.Typer(no_args_is_help=True, help=__doc__)

PRIVATE = 0o600

CertificateFile = Annotated[Path, typer.Option(help="PEM file to write the certificate to.")]
KeyFile = Annotated[Path, typer.Option(help="PEM file to write the private key to.")]


@app.command()
def create(certificate: CertificateFile, key: KeyFile, name: str = "dbaas") -> None:
    """Make an authority, once: name its files in [secrets] then. Nothing is overwritten."""
    _write(certificates.create_authority(name), certificate, key)


@app.command()
def issue(
    context: typer.Context,
    certificate: CertificateFile,
    key: KeyFile,
    name: Annotated[list[str], typer.Argument(help="Host names and addresses that it is for.")],
    days: int = 3650,
) -> None:
    """Sign a server's certificate, as the broker's. Nothing is overwritten."""
    with deployment(context) as ours:
        authority = certificates.from_conf(ours.conf)
        addresses = [one for one in name if _is_address(one)]
        names = [one for one in name if one not in addresses]
        _write(certificates.issue(authority, name[0], addresses, names, days), certificate, key)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _write(made: Certificate, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        if path.exists():
            raise typer.BadParameter(f"{path} exists")
    files.write(key, made.key_pem.reveal(), mode=PRIVATE)
    files.write(certificate, made.cert_pem)
    OUT.print(f"{certificate} and {key} are written")
