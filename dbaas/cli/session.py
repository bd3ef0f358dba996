"""One command's conversation with the API: what goes wrong is said in one line, with status 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from dbaas.cli import show
from dbaas.cli.client import Client
from dbaas.contract import errors

Name = Annotated[str, typer.Argument(help="Name or id of the instance.")]


@contextmanager
def client() -> Iterator[Client]:
    """Give a client of the API that the environment names."""
    try:
        yield Client()
    except errors.Error as error:
        show.ERR.print(f"dbaas: {error.text}", soft_wrap=True, markup=False)
        sys.exit(1)
