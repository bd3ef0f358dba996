"""The tenant's accounts in MariaDB: listed, made, changed and deleted."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from dbaas.contract import errors
from dbaas.contract.messages import (
    Page,
    UserChange,
    UserKey,
    UserPage,
    UserSpec,
    UserView,
)
from dbaas.contract.secret import Secret
from dbaas.engines.base import Attempt
from dbaas.engines.mariadb import access, accounts, admin, names
from dbaas.engines.mariadb.accounts import Account
from dbaas.engines.mariadb.admin import Session


@dataclass(frozen=True)
class Change:
    """One account, as it is and as it is to be."""

    old: Account
    new: Account
    password: Secret | None

    @property
    def moves(self) -> bool:
        return self.old != self.new


def page(session: Session, order: Page) -> UserPage:
    """Return a part of the accounts, in the order of code points of name, then host."""
    found = accounts.tenant_s(session)
    first = 0
    if order.marker:
        name, _, host = order.marker.rpartition("@")  # no host has an @ in it
        first = bisect.bisect_right(found, (name, host), key=lambda each: (each.name, each.host))
    end = first + order.limit
    views = _views(session, found[first:end])
    return UserPage(tuple(views), more=len(found) > end)


def show(session: Session, key: UserKey) -> UserView:
    """Return one account; raise `NotFound`."""
    (view,) = _views(session, [accounts.find(accounts.tenant_s(session), key)])
    return view


def create(session: Session, users: Sequence[UserSpec], attempt: Attempt) -> None:
    """Make all of them with their rights, or none; raise `Invalid` or `Conflict`."""
    prepared = [_prepared(session, user) for user in users]
    wanted = [account for account, *_ in prepared]
    _refuse_repeated(wanted)
    if not attempt.begun:
        _refuse_taken(accounts.tenant_s(session), wanted)
    create = "CREATE OR REPLACE USER" if attempt.begun else "CREATE USER"
    attempt.begin()
    with admin.all_or_none(session) as undo:
        for account, identified, patterns in prepared:
            quoted = accounts.quoted(session, account)
            session.rows(f"{create} {quoted} {identified}")
            undo.append(f"DROP USER IF EXISTS {quoted}")
            access.give(session, account, patterns)


def ensure(session: Session, user: UserSpec) -> None:
    """Make the account, unless it is there, and give it every right on its databases."""
    account, identified, patterns = _prepared(session, user)
    session.rows(f"CREATE USER IF NOT EXISTS {accounts.quoted(session, account)} {identified}")
    access.give(session, account, patterns)


def change(session: Session, changes: Sequence[UserChange], attempt: Attempt) -> None:
    """Change all of them, or none; an account keeps its rights, and its password if none is given.

    Raise `NotFound`, `Invalid`, or `Conflict` for a name that is taken.
    """
    existing = accounts.tenant_s(session)
    found = [_change(existing, each, attempt) for each in changes]
    clauses = [
        accounts.identified(session, each.password) if each.password else "" for each in found
    ]
    moved = [each.new for each in found if each.moves]
    _refuse_repeated([each.old for each in found])
    _refuse_repeated(moved)
    _refuse_taken(existing, moved)
    attempt.begin()
    with admin.all_or_none(session) as undo:
        for each, identified in zip(found, clauses, strict=True):
            old, new = accounts.quoted(session, each.old), accounts.quoted(session, each.new)
            if each.moves:
                session.rows(f"RENAME USER {old} TO {new}")
                undo.append(f"RENAME USER {new} TO {old}")
            if identified:
                before = _as_it_is(session, each.new)
                session.rows(f"ALTER USER {new} {identified}")
                undo.append(before)


def delete(session: Session, key: UserKey, attempt: Attempt) -> None:
    """Delete an account, and cut its connections.

    The server does not say by which account a connection came in: those of the same name from
    other hosts are cut as well, and may come back.
    """
    try:
        account = accounts.find(accounts.tenant_s(session), key)
    except errors.NotFound:
        if not attempt.begun:
            raise
    else:
        attempt.begin()
        session.rows(f"DROP USER {accounts.quoted(session, account)}")
    cut_connections(session, key.name)


def cut_connections(session: Session, name: str) -> None:
    """End the connections of all accounts of this name; none is fine."""
    session.rows(f"KILL CONNECTION USER {session.quoted(name)}")


def _views(session: Session, found: Sequence[Account]) -> list[UserView]:
    rights = access.of(session, found)
    return [UserView(account.name, account.host, rights[account]) for account in found]


def _prepared(session: Session, user: UserSpec) -> tuple[Account, str, list[str]]:
    """Return the account, the clause of its password and the patterns of its grants, checked."""
    account = accounts.new(UserKey(user.name, user.host))
    patterns = [names.pattern(names.check_database(name)) for name in user.databases]
    return account, accounts.identified(session, user.password), patterns


def _change(existing: Sequence[Account], order: UserChange, attempt: Attempt) -> Change:
    try:
        old = accounts.find(existing, order.user)
    except errors.NotFound:
        if not attempt.begun:
            raise
        now = UserKey(order.name or order.user.name, order.host or order.user.host)
        old = accounts.find(existing, now)
    name = old.name if order.name is None else names.check_user(order.name)
    if order.host is None:
        new = Account(name, old.host, old.stored_host)
    else:
        new = Account(name, order.host, names.check_host(order.host))
    return Change(old, new, order.password)


def _refuse_repeated(found: Sequence[Account]) -> None:
    for account in found:
        if found.count(account) > 1:
            raise errors.Invalid(
                f"user {account.name!r} at host {account.host!r} stands there twice"
            )


def _refuse_taken(existing: Sequence[Account], wanted: Sequence[Account]) -> None:
    taken = set(wanted) & set(existing)
    if taken:
        account = min(taken)
        raise errors.Conflict(f"there is a user {account.name!r} at host {account.host!r} already")


def _as_it_is(session: Session, account: Account) -> str:
    """Return the statement that gives an account back how it identifies itself now."""
    ((statement,),) = session.rows(f"SHOW CREATE USER {accounts.quoted(session, account)}")
    return str(statement).replace("CREATE USER", "ALTER USER", 1)
