"""`dbaas-manage`: the operator's commands."""

from typing import Annotated

import typer

from dbaas.manage import authority, datastore, db, guest, image, operation
from dbaas.manage.audit import audit
from dbaas.manage.check import check
from dbaas.manage.stack.commands import app as stack

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(authority.app, name="authority")
app.add_typer(db.app, name="db")
app.add_typer(datastore.app, name="datastore")
app.add_typer(operation.app, name="operation")
app.add_typer(guest.app, name="guest")
app.add_typer(image.app, name="image")
app.add_typer(stack, name="stack")
app.command()(audit)
app.command()(check)


@app.callback()
def read_configuration(
    context: typer.Context,
    config_file: Annotated[
        list[str] | None, typer.Option(help="Configuration file; may be given several times.")
    ] = None,
) -> None:
    context.obj = config_file


def main() -> None:
    app()
