"""The tenant's databases in MariaDB: listed, made and deleted."""

import bisect
import re
from collections.abc import Sequence

from dbaas.contract import errors
from dbaas.contract.messages import DatabasePage, DatabaseSpec, Page
from dbaas.engines.base import Attempt
from dbaas.engines.mariadb import admin
from dbaas.engines.mariadb.admin import Session
from dbaas.engines.mariadb.names import (
    NO_DATABASE,
    RESERVED_DATABASES,
    check_database,
    identifier,
    is_own_database,
    refuse_own_database,
)

PATH_LIMIT = 255
"""Bytes of a directory's name."""


def page(session: Session, order: Page) -> DatabasePage:
    """Return a part of the databases, in the order of their code points."""
    found = names(session)
    first = bisect.bisect_right(found, order.marker) if order.marker else 0
    end = first + order.limit
    return DatabasePage(tuple(found[first:end]), more=len(found) > end)


def names(session: Session) -> list[str]:
    """Return the names of all databases that are the tenant's, sorted."""
    return [name for name in all_names(session) if not is_own_database(name)]


def all_names(session: Session) -> list[str]:
    """Return the same with those that are hidden since they read like the server's own: `Sys`."""
    rows = session.rows("SELECT schema_name FROM information_schema.schemata")
    found = [str(name) for (name,) in rows]
    return sorted(
        name
        for name in found
        if name not in RESERVED_DATABASES and not name.startswith(NO_DATABASE)
    )


def create(session: Session, databases: Sequence[DatabaseSpec], attempt: Attempt) -> None:
    """Make all of them, or none; raise `Invalid` or `Conflict`."""
    clauses = [_clauses(session, database) for database in databases]
    wanted = [database.name for database in databases]
    _refuse_repeated(wanted)
    taken = set(wanted) & set(names(session))
    if taken and not attempt.begun:
        raise errors.Conflict(f"there is a database {min(taken)!r} already")
    create = "CREATE DATABASE IF NOT EXISTS" if attempt.begun else "CREATE DATABASE"
    attempt.begin()
    with admin.all_or_none(session) as undo:
        for name, clause in zip(wanted, clauses, strict=True):
            session.rows(f"{create} {clause}")
            undo.append(f"DROP DATABASE IF EXISTS {identifier(name)}")


def ensure(session: Session, database: DatabaseSpec) -> None:
    """Make it, unless there is one of that name."""
    session.rows(f"CREATE DATABASE IF NOT EXISTS {_clauses(session, database)}")


def delete(session: Session, name: str, attempt: Attempt) -> None:
    """Delete it with all that is in it; what was granted on it stays, as the server has it."""
    refuse_own_database(name)
    if name in names(session):
        attempt.begin()
        session.rows(f"DROP DATABASE {identifier(name)}")
    elif not attempt.begun:
        raise errors.NotFound(f"there is no database {name[:80]!r}")


def _clauses(session: Session, database: DatabaseSpec) -> str:
    name = identifier(check_database(database.name))
    _check_directory(session, database.name)
    character_set = _current_name(database.character_set)
    collate = _current_name(database.collate)
    _check_collation(session, character_set, collate)
    clauses = f" CHARACTER SET {character_set}" if character_set else ""
    clauses += f" COLLATE {collate}" if collate else ""
    return f"{name}{clauses}"


def _check_directory(session: Session, name: str) -> None:
    """Its directory has a name as well, where all but ASCII letters and digits takes 3 or 5 bytes.

    MariaDB documentation, "Identifier to File Name Mapping"; it is a character set of the server's.
    """
    if 5 * len(name) <= PATH_LIMIT:
        return
    ((size,),) = session.rows("SELECT LENGTH(CONVERT(%s USING filename))", name)
    if int(size) > PATH_LIMIT:
        raise errors.Invalid(
            f"database name {name!r} is too long for the file system: each character but ASCII"
            f" letters, digits and _ counts as 3 or 5 there, and {PATH_LIMIT} is the limit"
        )


def _refuse_repeated(wanted: Sequence[str]) -> None:
    for name in wanted:
        if wanted.count(name) > 1:
            raise errors.Invalid(f"database name {name!r} stands there twice")


def _current_name(name: str) -> str:
    """Return the name that the server itself uses today for what was `utf8` once."""
    return re.sub(r"^utf8(?=_|$)", "utf8mb3", name.lower())


def _check_collation(session: Session, character_set: str, collate: str) -> None:
    known = _collations(session) if character_set or collate else []
    if character_set and character_set not in {of for of, *_ in known}:
        raise errors.Invalid(f"the server has no character set {character_set[:64]!r}")
    fitting = [names for of, *names in known if character_set in ("", of)]
    if collate and not any(collate in names for names in fitting):
        suffix = f" for the character set {character_set!r}" if character_set else ""
        raise errors.Invalid(f"the server has no collation {collate[:64]!r}{suffix}")


def _collations(session: Session) -> list[tuple[str, str, str]]:
    return [
        (str(character_set), str(short), str(full))
        for character_set, short, full in session.rows(
            "SELECT character_set_name, collation_name, full_collation_name"
            " FROM information_schema.collation_character_set_applicability"
        )
    ]
