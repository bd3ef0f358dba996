"""Databases and users as a request has them, checked name by name, as what a guest is asked."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dbaas.api import naming
from dbaas.contract import errors
from dbaas.contract.messages import (
    DatabaseSpec,
    UserChange,
    UserChanges,
    UserKey,
    UserSpec,
)
from dbaas.contract.secret import Secret

_Items = Sequence[Mapping[str, Any]]


def databases(asked: _Items, field: str) -> tuple[DatabaseSpec, ...]:
    """Return the databases of the body's `field`; raise `Invalid` naming which cannot be."""
    found: dict[str, DatabaseSpec] = {}
    for index, item in enumerate(asked):
        where = f"{field}[{index}]"
        name, charset = item["name"], item.get("character_set") or ""
        collation = item.get("collate") or ""
        naming.check_database(name, where)
        naming.check_character_set(charset, collation, where)
        if name in found:
            raise errors.Invalid(f"{where} {name!r} is named twice: name it once.")
        found[name] = DatabaseSpec(name, charset, collation)
    return tuple(found.values())


def granted(asked: _Items, field: str) -> tuple[str, ...]:
    """Return the names of databases that a user is to have rights on."""
    names = [item["name"] for item in asked]
    for index, name in enumerate(names):
        naming.check_grant(name, f"{field}[{index}]")
    return tuple(dict.fromkeys(names))


def users(asked: _Items, field: str) -> tuple[UserSpec, ...]:
    """Return the users of the body's `field` with what they may access."""
    keys = _keys(asked, field)
    return tuple(
        UserSpec(
            key.name,
            Secret(item["password"]),
            key.host,
            granted(item.get("databases", ()), f"{field}[{index}]['databases']"),
        )
        for index, (key, item) in enumerate(zip(keys, asked, strict=True))
    )


def check_listed(made: Iterable[UserSpec], known: Collection[str], field: str) -> None:
    """Raise `Invalid` unless users are given rights on databases of the same request only."""
    for index, user in enumerate(made):
        for database in user.databases:
            if database not in known:
                raise errors.Invalid(
                    f"{field}[{index}] has the database {database!r}, which is not among "
                    "instance['databases']: list it there, too."
                )


def passwords(asked: _Items, field: str) -> UserChanges:
    """Return the changes of users' passwords."""
    keys = _keys(asked, field)
    return UserChanges(
        tuple(
            UserChange(key, password=Secret(item["password"]))
            for key, item in zip(keys, asked, strict=True)
        )
    )


def change(user: UserKey, asked: Mapping[str, Any], field: str) -> UserChanges:
    """Return the change of one user; a host of null is every host."""
    name, password = asked.get("name"), asked.get("password")
    if name is not None:
        naming.check_user(name, f"{field}['name']")
    host = naming.host(asked["host"] or "%", f"{field}['host']") if "host" in asked else None
    secret = None if password is None else Secret(password)
    return UserChanges((UserChange(user, name, host, secret),))


def existing_user(key: UserKey) -> UserKey:
    """Return the user of a path; raise `Invalid` for one that a tenant cannot have."""
    naming.check_user(key.name, "The user")
    return UserKey(key.name, naming.host(key.host, "The user's host"))


def existing_database(name: str) -> str:
    """Return the database of a path; raise `Invalid` for one that a tenant cannot have."""
    naming.check_database(name, "The database")
    return name


def _keys(asked: _Items, field: str) -> list[UserKey]:
    found: list[UserKey] = []
    for index, item in enumerate(asked):
        where = f"{field}[{index}]"
        naming.check_user(item["name"], where)
        key = UserKey(item["name"], naming.host(item.get("host") or "%", where))
        if key in found:
            raise errors.Invalid(
                f"{where} {key.name!r} at {key.host!r} is named twice: name it once."
            )
        found.append(key)
    return found
