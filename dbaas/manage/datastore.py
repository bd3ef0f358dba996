"""`dbaas-manage datastore`: what tenants may ask for."""

from typing import Annotated

import typer
from rich.table import Table

from dbaas.catalog import datastores
from dbaas.engines import manifests
from dbaas.manage.deployment import OUT, deployment

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def register(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The datastore, as tenants call it.")],
    version: Annotated[str, typer.Argument(help="The version, as tenants call it.")],
    engine: Annotated[str, typer.Option(help="What drives it; by default of the same name.")] = "",
    number: Annotated[str, typer.Option(help="Version number; by default its name.")] = "",
    image: Annotated[str, typer.Option(help="Image of its guests; empty: the provider's.")] = "",
) -> None:
    """Offer a version of a datastore; the first one is the default. May be repeated."""
    with deployment(context) as ours:
        driver, real = engine or name, number or version
        manifests.check(driver, real)
        new = ours.catalog.run(
            lambda unit: datastores.register(unit, name, version, real, driver, image)
        )
        OUT.print(f"{name} {version} is {'offered now' if new else 'offered already'}")


@app.command("list")
def list_(context: typer.Context) -> None:
    """List datastores and versions."""
    with deployment(context) as ours:
        table = Table("datastore", "version", "number", "engine", "active", "id")
        for store in ours.catalog.read(datastores.everything):
            for one in store.versions:
                active = "yes" if one.active else "no"
                table.add_row(store.name, one.name, one.version, one.manager, active, one.id)
        OUT.print(table)
