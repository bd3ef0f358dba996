"""`dbaas backup`: made, looked at, tried, deleted."""

from typing import Annotated

import typer

from dbaas.cli import session, show, waiting
from dbaas.cli.client import Json
from dbaas.cli.waiting import Wait
from dbaas.contract import errors

backups = typer.Typer(no_args_is_help=True, help="Backups of instances; they outlive those.")

Backup = Annotated[str, typer.Argument(help="Name or id of the backup.")]


@backups.command("list")
def list_backups(
    instance: Annotated[str | None, typer.Option(help="Only those of this instance.")] = None,
) -> None:
    """List backups, those that changed last first."""
    with session.client() as client:
        query = {} if instance is None else {"instance_id": client.instance_id(instance)}
        show.table(
            ("id", "name", "status", "instance", "parent", "MB stored", "created", "verified"),
            (
                (
                    one["id"], one["name"], one["status"], one["instance_id"], one["parent_id"],
                    _megabytes(one["stored_bytes"]), one["created"], one["verified_at"],
                )
                for one in client.backups(**query)
            ),
        )  # fmt: skip


def _megabytes(size: int | None) -> str | None:
    return None if size is None else f"{size / 1e6:.1f}"


@backups.command("show")
def show_backup(name: Backup) -> None:
    """Show one backup."""
    with session.client() as client:
        show.OUT.print_json(data=client.backup(name))


@backups.command("create")
def create_backup(
    instance: session.Name,
    name: Annotated[str, typer.Argument(help="Name of the backup.")],
    parent: Annotated[
        str | None, typer.Option(help="Backup to build on: only what changed since is stored.")
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Build on the last complete one, if there is one.")
    ] = False,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    container: Annotated[str | None, typer.Option(help="Where to store it.")] = None,
    wait: Wait = True,
) -> None:
    """Make a backup, while the database server goes on."""
    with session.client() as client:
        of = client.instance(instance)
        asked: Json = {
            "name": name,
            "instance": of["id"],
            "incremental": int(incremental),
            "description": description,
            "parent_id": None if parent is None else client.backup(parent)["id"],
            "swift_container": container,
        }
        known = {key: value for key, value in asked.items() if value is not None}
        made = client.post("/backups", {"backup": known})["backup"]
        show.OUT.print(made["id"])
        waiting.follow(client, wait=wait)


@backups.command("verify")
def verify_backup(name: Backup, wait: Wait = True) -> None:
    """Restore a backup for a trial, read all of it, and say what came of that."""
    with session.client() as client:
        id_ = client.backup(name)["id"]
        client.post(f"/backups/{id_}/verify", {})
        if not wait:
            return
        waiting.follow(client)
        verification = client.backup(id_)["verification"] or {}
        show.OUT.print_json(data=verification)
        if not verification.get("restorable"):
            raise errors.Failed(f"backup {id_} cannot be restored")


@backups.command("delete")
def delete_backup(name: Backup, wait: Wait = True) -> None:
    """Delete a backup, and all that build on it."""
    with session.client() as client:
        id_ = client.backup(name)["id"]
        client.delete(f"/backups/{id_}")
        waiting.follow(client, wait=wait)
