"""`dbaas`: the tenant's commands. What `openstack database` has not: progress, and operations."""

from typing import Annotated

import typer

from dbaas.cli import accounts, archives, backups, schedules, session, show, waiting
from dbaas.cli.client import Client, Json
from dbaas.cli.session import Name
from dbaas.cli.waiting import Wait
from dbaas.contract import errors

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
instances = typer.Typer(no_args_is_help=True, help="Database servers.")
operations = typer.Typer(no_args_is_help=True, help="What is being done, and how far it is.")
app.add_typer(instances, name="instance")
app.add_typer(operations, name="operation")
app.add_typer(backups.backups, name="backup")
app.add_typer(schedules.schedules, name="schedule")
app.add_typer(archives.archives, name="archive")
app.add_typer(accounts.databases, name="database")
app.add_typer(accounts.users, name="user")
app.add_typer(accounts.root, name="root")


@instances.command("list")
def list_instances() -> None:
    """List the project's instances."""
    with session.client() as client:
        show.table(
            ("id", "name", "status", "health", "datastore", "addresses", "GiB"),
            (
                (
                    one["id"], one["name"], one["status"], one["operating_status"],
                    f"{one['datastore']['type']} {one['datastore']['version']}",
                    ", ".join(one.get("ip", ())), one["volume"]["size"],
                )
                for one in client.instances()
            ),
        )  # fmt: skip


@instances.command("show")
def show_instance(name: Name) -> None:
    """Show one instance."""
    with session.client() as client:
        show.OUT.print_json(data=client.instance(name))


@instances.command("create")
def create_instance(
    name: Annotated[str, typer.Argument(help="Its name.")],
    flavor: Annotated[str, typer.Option(help="Id of the flavor.")],
    size: Annotated[int, typer.Option(min=1, help="GiB of its volume.")] = 1,
    database: Annotated[list[str] | None, typer.Option(help="Database to make.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="User to make, as NAME:PASSWORD.")] = None,
    backup: Annotated[str | None, typer.Option(help="Backup to begin with.")] = None,
    instance: Annotated[
        str | None, typer.Option(help="Instance to begin with as it was then: see --time.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Moment in UTC, as 2026-11-20T10:15:03Z.")
    ] = None,
    wait: Wait = True,
) -> None:
    """Make a database server."""
    databases = [{"name": one} for one in database or ()]
    users = [_user(one, databases) for one in user or ()]
    body: Json = {
        "name": name,
        "flavorRef": flavor,
        "volume": {"size": size},
        "databases": databases,
        "users": users,
    }
    with session.client() as client:
        if point := _point(client, backup, instance, time):
            body["restorePoint"] = point
        made = client.post("/instances", {"instance": body})["instance"]
        show.OUT.print(made["id"])
        waiting.follow(client, wait=wait)


def _point(client: Client, backup: str | None, instance: str | None, time: str | None) -> Json:
    """Return what it begins with; the API says what of that cannot be."""
    point: Json = {} if time is None else {"time": time}
    if backup is not None:
        point["backupRef"] = client.backup(backup)["id"]
    if instance is not None:
        point["instanceRef"] = client.instance_id(instance)
    return point


def _user(text: str, databases: list[dict[str, str]]) -> Json:
    name, colon, password = text.partition(":")
    if not colon:
        raise errors.Invalid("a user is NAME:PASSWORD")
    return {"name": name, "password": password, "databases": databases}


@instances.command("restart")
def restart_instance(name: Name, wait: Wait = True) -> None:
    """Restart the database server."""
    _act(name, {"restart": {}}, wait=wait)


@instances.command("resize-volume")
def resize_volume(
    name: Name,
    size: Annotated[int, typer.Argument(min=1, help="GiB that the volume is to have.")],
    wait: Wait = True,
) -> None:
    """Grow the data volume, while the database server goes on."""
    _act(name, {"resize": {"volume": {"size": size}}}, wait=wait)


@instances.command("resize-flavor")
def resize_flavor(
    name: Name,
    flavor: Annotated[str, typer.Argument(help="Id of the flavor that it is to have.")],
    wait: Wait = True,
) -> None:
    """Give the server more memory and processors, or less."""
    _act(name, {"resize": {"flavorRef": flavor}}, wait=wait)


@instances.command("access")
def change_access(
    name: Name,
    allow: Annotated[
        list[str] | None, typer.Option(help="Network that it can be reached from; none: from all.")
    ] = None,
    public: Annotated[bool, typer.Option(help="Whether it has a public address.")] = False,
    wait: Wait = True,
) -> None:
    """Say from where an instance can be reached."""
    with session.client() as client:
        id_ = client.instance_id(name)
        access = {"is_public": public, "allowed_cidrs": allow or []}
        client.put(f"/instances/{id_}", {"instance": {"access": access}})
        waiting.follow(client, wait=wait)


def _act(name: str, action: Json, *, wait: bool) -> None:
    with session.client() as client:
        id_ = client.instance_id(name)
        client.post(f"/instances/{id_}/action", action)
        waiting.follow(client, wait=wait)


@instances.command("delete")
def delete_instance(
    name: Name,
    final_backup: Annotated[
        bool, typer.Option("--final-backup", help="Back it up first, or do not delete it.")
    ] = False,
    wait: Wait = True,
) -> None:
    """Delete an instance with all its data."""
    with session.client() as client:
        id_ = client.instance_id(name)
        query = {"final_backup": "true"} if final_backup else {}
        client.delete(f"/instances/{id_}", **query)
        waiting.follow(client, wait=wait)


@operations.command("list")
def list_operations(
    instance: Annotated[str | None, typer.Option(help="Only those of this instance.")] = None,
) -> None:
    """List operations, the newest first."""
    with session.client() as client:
        query = {} if instance is None else {"instance_id": client.instance_id(instance)}
        show.table(
            ("id", "kind", "instance", "state", "progress", "created", "reason"),
            (
                (
                    one["id"], one["kind"], one["instance_id"], one["state"],
                    f"{one['progress']:.0%}", one["created"], (one["fault"] or {}).get("message"),
                )
                for one in client.get("/operations", **query)["operations"]
            ),
        )  # fmt: skip


@operations.command("show")
def show_operation(operation_id: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Show an operation with its steps."""
    with session.client() as client:
        show.OUT.print_json(data=client.get(f"/operations/{operation_id}")["operation"])


@operations.command("follow")
def follow_operation(operation_id: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Show an operation's steps as they are done."""
    with session.client() as client:
        show.OUT.print(client.follow(operation_id, show.live(), waiting.PATIENCE)["state"])


def main() -> None:
    app()
