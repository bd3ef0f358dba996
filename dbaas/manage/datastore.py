"""`dbaas-manage datastore`: what tenants may ask for."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from dbaas.catalog import datastores
from dbaas.contract import errors
from dbaas.engines import manifests
from dbaas.manage.deployment import OUT, deployment

MOST_TAGS, LONGEST_TAG = 5, 20
"""As in the API of Trove."""

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def register(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The datastore, as tenants call it.")],
    version: Annotated[str, typer.Argument(help="The version, as tenants call it.")],
    engine: Annotated[str, typer.Option(help="What drives it; by default of the same name.")] = "",
    number: Annotated[str, typer.Option(help="Version number; by default its name.")] = "",
    image: Annotated[str, typer.Option(help="Id of the image of its guests.")] = "",
    image_tag: Annotated[
        list[str] | None,
        typer.Option(
            help="A tag of that image instead: the newest that has all of them is taken. With "
            "neither, guests are made of what the provider has of its own, if anything."
        ),
    ] = None,
) -> None:
    """Offer a version of a datastore; the first one is the default. May be repeated."""
    tags = image_tag or []
    with deployment(context) as ours:
        _check(image, tags)
        driver, real = engine or name, number or version
        manifests.check(driver, real)
        new = ours.catalog.run(
            lambda unit: datastores.register(unit, name, version, real, driver, image, tags)
        )
        OUT.print(f"{name} {version} is {'offered now' if new else 'offered already'}")


def _check(image: str, tags: Sequence[str]) -> None:
    """Raise `Invalid` unless an image is named in one way, or in none."""
    if image and tags:
        raise errors.Invalid("Name the image by its id or by tags, not by both.")
    if len(tags) > MOST_TAGS or any(not 0 < len(tag) <= LONGEST_TAG for tag in tags):
        raise errors.Invalid(
            f"An image is named by at most {MOST_TAGS} tags of 1 to {LONGEST_TAG} characters."
        )


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
