"""Shows an operation's steps while they are done, and says how it ended."""

from typing import Annotated

import typer

from dbaas.cli import show
from dbaas.cli.client import Client, Json
from dbaas.contract import errors

Wait = Annotated[bool, typer.Option(help="Show the steps, and return when it is done.")]

PATIENCE = 24 * 3600.0
"""Seconds: a large backup takes hours."""


def follow_newest(client: Client, instance_id: str, *, wait: bool) -> None:
    """Follow what was asked of the instance last."""
    operation = client.operation_of(instance_id)
    if operation is not None and wait:
        follow(client, operation)


def follow(client: Client, operation: Json) -> None:
    """Return when the operation has succeeded; raise `Failed` when it ended otherwise."""
    ended = client.follow(operation["id"], show.live(), PATIENCE)
    if ended["state"] != "succeeded":
        fault = ended.get("fault") or {"message": "no reason was given"}
        raise errors.Failed(f"it {ended['state']}: {fault['message']}")
