"""`dbaas-manage guest`: who may say something on the guests' bus, and who was shut out of it."""

from typing import Annotated

import typer
from rich.table import Column, Table

from dbaas.catalog import guests
from dbaas.manage.deployment import OUT, deployment

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.callback()
def _group() -> None: ...


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="Only those in this state, as quarantined.")
    ] = None,
) -> None:
    """List guests. A quarantined one is let in again, with other keys, by the API's action
    rotate-keys on its instance under /mgmt/instances."""
    with deployment(context) as ours:
        views = ours.catalog.read(lambda unit: guests.listed(unit, state))
    table = Table(Column("instance", overflow="fold"), "state", "quarantined", "last heard")
    for view in views:
        table.add_row(
            view.instance_id,
            view.state,
            f"{view.quarantined_at:%F %T}" if view.quarantined_at else "",
            f"{view.heard_at:%F %T}" if view.heard_at else "never",
        )
    OUT.print(table)
