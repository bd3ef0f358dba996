"""`dbaas database`, `user` and `root`: what is in a database server, and who may come in."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

import typer

from dbaas.cli import session, show
from dbaas.cli.client import Client, Json
from dbaas.cli.session import Name

databases = typer.Typer(no_args_is_help=True, help="Databases of an instance.")
users = typer.Typer(no_args_is_help=True, help="Users of an instance, and what they may access.")
root = typer.Typer(no_args_is_help=True, help="The administrator of an instance's engine.")

Database = Annotated[str, typer.Argument(help="Name of the database.")]
User = Annotated[str, typer.Argument(help="NAME or NAME@HOST; without a host, any.")]
Password = Annotated[
    str, typer.Option(prompt=True, hide_input=True, help="Asked for where it is not given.")
]


@databases.command("list")
def list_databases(instance: Name) -> None:
    """List databases, also those that were made in SQL."""
    with session.client() as client:
        found = _all(client, instance, "databases")
        show.table(("name",), ((one["name"],) for one in found))


@databases.command("create")
def create_database(
    instance: Name,
    name: Database,
    character_set: Annotated[str, typer.Option(help="Its character set.")] = "",
    collate: Annotated[str, typer.Option(help="Its collation.")] = "",
) -> None:
    """Make a database."""
    body = {"name": name, "character_set": character_set, "collate": collate}
    with session.client() as client:
        client.post(_path(client, instance, "databases"), {"databases": [body]})


@databases.command("delete")
def delete_database(instance: Name, name: Database) -> None:
    """Delete a database with all that is in it."""
    with session.client() as client:
        client.delete(_path(client, instance, "databases", name))


@users.command("list")
def list_users(instance: Name) -> None:
    """List users, also those that were made in SQL."""
    with session.client() as client:
        found = _all(client, instance, "users")
        show.table(
            ("name", "host", "databases"),
            ((one["name"], one["host"], _names(one["databases"])) for one in found),
        )


@users.command("create")
def create_user(
    instance: Name,
    user: User,
    password: Password,
    database: Annotated[list[str] | None, typer.Option(help="Database to access.")] = None,
) -> None:
    """Make a user."""
    body = {**_user(user), "password": password, "databases": [{"name": n} for n in database or ()]}
    with session.client() as client:
        client.post(_path(client, instance, "users"), {"users": [body]})


@users.command("password")
def change_password(instance: Name, user: User, password: Password) -> None:
    """Give a user another password."""
    with session.client() as client:
        body = {"users": [{**_user(user), "password": password}]}
        client.put(_path(client, instance, "users"), body)


@users.command("delete")
def delete_user(instance: Name, user: User) -> None:
    """Delete a user."""
    with session.client() as client:
        client.delete(_path(client, instance, "users", _id(user)))


@users.command("grant")
def grant(instance: Name, user: User, database: Database) -> None:
    """Let a user access a database."""
    with session.client() as client:
        path = _path(client, instance, "users", _id(user), "databases")
        client.put(path, {"databases": [{"name": database}]})


@users.command("revoke")
def revoke(instance: Name, user: User, database: Database) -> None:
    """Take a user's access to a database."""
    with session.client() as client:
        client.delete(_path(client, instance, "users", _id(user), "databases", database))


@root.command("show")
def show_root(instance: Name) -> None:
    """Show whether root is enabled."""
    with session.client() as client:
        enabled = client.get(_path(client, instance, "root"))["rootEnabled"]
        show.OUT.print("enabled" if enabled else "disabled")


@root.command("enable")
def enable_root(instance: Name) -> None:
    """Enable root, and print its new password."""
    with session.client() as client:
        made = client.post(_path(client, instance, "root"), {})["user"]
        show.OUT.print(made["password"], markup=False)


@root.command("disable")
def disable_root(instance: Name) -> None:
    """Let root in no more."""
    with session.client() as client:
        client.delete(_path(client, instance, "root"))


def _path(client: Client, instance: str, *parts: str) -> str:
    # Twice, as the API decodes them: a name may look as if it were encoded.
    encoded = (quote(quote(part, safe=""), safe="") for part in parts)
    return "/".join((f"/instances/{client.instance_id(instance)}", *encoded))


def _all(client: Client, instance: str, what: str) -> Iterator[Json]:
    """Yield all items, however many pages they take."""
    path = _path(client, instance, what)
    query: dict[str, str] = {}
    while True:
        answer = client.get(path, **query)
        yield from answer[what]
        links = answer.get("links")
        if not links:
            return
        query = {"marker": parse_qs(urlsplit(links[0]["href"]).query)["marker"][0]}


def _user(text: str) -> Json:
    name, at, host = text.rpartition("@")
    return {"name": name, "host": host or "%"} if at else {"name": text, "host": "%"}


def _id(text: str) -> str:
    user = _user(text)
    return f"{user['name']}@{user['host']}"


def _names(items: list[Json]) -> str:
    return ", ".join(item["name"] for item in items)
