"""`dbaas-manage db`: the catalog's tables."""

import sys

import typer

from dbaas.catalog import schema
from dbaas.manage.deployment import OUT, deployment

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def upgrade(context: typer.Context) -> None:
    """Bring the catalog to the newest schema. Services may run meanwhile."""
    with deployment(context) as ours:
        OUT.print(schema.upgrade(ours.conf.catalog.connection))


@app.command()
def version(context: typer.Context) -> None:
    """Say which schema the catalog has; exit status 1 if it is not the newest."""
    with deployment(context) as ours:
        current = schema.current(ours.conf.catalog.connection)
    OUT.print(f"{current or 'empty'} (newest: {schema.newest()})")
    sys.exit(0 if current == schema.newest() else 1)
