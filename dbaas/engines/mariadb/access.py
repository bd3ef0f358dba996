"""Rights of accounts on MariaDB's databases: seen, given and taken.

A right stands in `mysql.db` with a pattern; this service grants on one database only, by escaping
what would be a wildcard. What was granted in SQL may have wildcards, and often has one that nobody
meant: the `_` in a database's name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from dbaas.contract import errors
from dbaas.contract.messages import Access
from dbaas.engines.base import Attempt
from dbaas.engines.mariadb import accounts, admin, databases, names
from dbaas.engines.mariadb.accounts import Account
from dbaas.engines.mariadb.admin import Session


def of(session: Session, wanted: Collection[Account]) -> Mapping[Account, tuple[str, ...]]:
    """Return the databases on which each account has any right, sorted.

    A pattern with wildcards stands for the databases that exist and fit.
    """
    granted = _granted(session, wanted)
    wild = any(names.exact(each) is None for patterns in granted.values() for each in patterns)
    existing = databases.names(session) if wild else []
    return {
        account: tuple(sorted({name for each in patterns for name in _meant(each, existing)}))
        for account, patterns in granted.items()
    }


def grant(session: Session, order: Access) -> None:
    """Give every right on all of them, or on none; a database need not exist yet."""
    patterns = [names.pattern(names.check_database(name)) for name in order.databases]
    account = accounts.find(accounts.tenant_s(session), order.user)
    give(session, account, patterns)


def give(session: Session, account: Account, patterns: Iterable[str]) -> None:
    """Grant on each pattern, or on none."""
    before = _granted(session, (account,))[account]
    to = accounts.quoted(session, account)
    with admin.all_or_none(session) as undo:
        for each in patterns:
            session.rows(f"GRANT ALL PRIVILEGES ON {names.identifier(each)}.* TO {to}")
            if each not in before:
                undo.append(_revoking(session, account, each))


def revoke(session: Session, order: Access, attempt: Attempt) -> None:
    """Take every right on all of them, or on none.

    Raise `NotFound` for a right that is not there, and `Conflict` for one that a pattern gives
    which is for other databases too.
    """
    account = accounts.find(accounts.tenant_s(session), order.user)
    granted = _granted(session, (account,))[account]
    patterns = []
    for name in order.databases:
        found = _to_revoke(granted, account, name)
        if not found and not attempt.begun:
            raise errors.NotFound(
                f"user {account.name!r} at host {account.host!r} has no right on {name[:80]!r}"
            )
        patterns += found
    attempt.begin()
    with admin.all_or_none(session) as undo:
        to = accounts.quoted(session, account)
        for each in dict.fromkeys(patterns):
            on = f"{names.identifier(each)}.*"
            if granted[each]:
                session.rows(f"REVOKE GRANT OPTION ON {on} FROM {to}")
                undo.append(f"GRANT USAGE ON {on} TO {to} WITH GRANT OPTION")
            session.rows(_revoking(session, account, each))
            undo.append(f"GRANT ALL PRIVILEGES ON {on} TO {to}")


def _granted(session: Session, wanted: Collection[Account]) -> dict[Account, dict[str, bool]]:
    """Return the patterns on which each account has rights, and whether it may pass them on."""
    granted: dict[Account, dict[str, bool]] = {account: {} for account in wanted}
    by_row = {(account.name, account.stored_host): account for account in wanted}
    if wanted:
        marks = ", ".join(["%s"] * len(wanted))
        rows = session.rows(
            f"SELECT user, host, db, grant_priv = 'Y' FROM mysql.db WHERE user IN ({marks})",  # noqa: S608  # marks for values
            *(account.name for account in wanted),
        )
        for user, host, db, grant_option in rows:
            account = by_row.get((str(user), str(host)))
            if account:
                granted[account][str(db)] = bool(grant_option)
    return granted


def _meant(granted: str, existing: Sequence[str]) -> Iterable[str]:
    one = names.exact(granted)
    if one is not None:
        return () if names.is_own_database(one) else (one,)
    return (name for name in existing if names.covers(granted, name))


def _to_revoke(granted: Collection[str], account: Account, name: str) -> list[str]:
    """Return the patterns that are for this database: as we write it, and as people do."""
    names.refuse_own_database(name)
    found = [each for each in granted if names.exact(each) == name or each == name]
    wider = [each for each in granted if each not in found and names.covers(each, name)]
    if wider:
        raise errors.Conflict(
            f"user {account.name!r} has rights on {name!r} by a grant on {min(wider)!r}, which is"
            " for other databases too: it can only be revoked in SQL"
        )
    return found


def _revoking(session: Session, account: Account, pattern: str) -> str:
    to = accounts.quoted(session, account)
    return f"REVOKE ALL PRIVILEGES ON {names.identifier(pattern)}.* FROM {to}"
