"""`dbaas-manage image`: what guests in an OpenStack are booted from."""

from pathlib import Path
from typing import Annotated

import typer

from dbaas.cloud.openstack import guestimage, uploads
from dbaas.cloud.rootfs import recipe
from dbaas.manage.deployment import ERR, OUT, deployment, said

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def build(
    output: Annotated[
        Path | None, typer.Option(help="File to write; by default it stays in the cache.")
    ] = None,
    size: Annotated[
        int, typer.Option(help="GiB of its disk: a flavor's disk has to have as many.", min=3)
    ] = guestimage.SIZE_GIB,
    package: Annotated[
        list[str] | None, typer.Option(help="One more package of Debian's in it.")
    ] = None,
) -> None:
    """Make the image: Debian, the engines, and this version's agent. Needs root.

    What was made before is not made again. Kernel and initial file system are beside it.
    """
    with said():
        wanted = recipe.machine(tuple(package or ()))
        made = guestimage.ensure(recipe.default_cache(), wanted, ERR.print, size)
        if output is not None:
            guestimage.copy(made, output)
    OUT.print(str(output or made), soft_wrap=True)


@app.command()
def upload(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="What `image build` has made.")],
    tag: Annotated[
        list[str], typer.Option(help="What datastore versions find it by; one or more.")
    ],
    name: Annotated[str, typer.Option(help="Its name in Glance.")] = "dbaas-guest",
    direct: Annotated[
        bool,
        typer.Option(
            "--direct", help="Have servers start with the kernel beside it, without a boot loader."
        ),
    ] = False,
) -> None:
    """Put an image into Glance, for the service's project, and print its id."""
    with deployment(context) as ours:
        OUT.print(uploads.upload(ours.conf, image, name, tag, directly=direct))
