"""Shows an operation's steps while they are done, and says how it ended."""

from typing import Annotated

import typer

from dbaas.cli import show
from dbaas.cli.client import Client
from dbaas.contract import errors

Wait = Annotated[bool, typer.Option(help="Show the steps, and return when it is done.")]

PATIENCE = 24 * 3600.0
"""Seconds: a large backup takes hours."""


def follow(client: Client, *, wait: bool = True) -> None:
    """Return when the operation has succeeded that was begun last; raise `Failed` otherwise."""
    if not wait or not client.begun:
        return
    ended = client.follow(client.begun, show.live(), PATIENCE)
    if ended["state"] != "succeeded":
        fault = ended.get("fault") or {"message": "no reason was given"}
        raise errors.Failed(f"it {ended['state']}: {fault['message']}")
