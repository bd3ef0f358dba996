"""Accounts as MariaDB keeps them: which there are, how one is named, and its password's form."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from dbaas.contract import errors
from dbaas.contract.messages import UserKey
from dbaas.contract.secret import Secret
from dbaas.engines.mariadb import names
from dbaas.engines.mariadb.admin import Session


@dataclass(frozen=True, order=True)
class Account:
    """An account; ordered by name and by the host that is shown."""

    name: str
    host: str
    """As it is shown."""
    stored_host: str

    @property
    def key(self) -> UserKey:
        return UserKey(self.name, self.host)


def tenant_s(session: Session) -> list[Account]:
    """Return all accounts that are the tenant's, in order; a role is no account."""
    rows = session.rows(
        "SELECT user, host FROM mysql.global_priv WHERE JSON_VALUE(priv, '$.is_role') IS NULL"
    )
    found = [Account(str(name), names.shown_host(str(host)), str(host)) for name, host in rows]
    return sorted(account for account in found if account.name not in names.RESERVED_USERS)


def find(existing: Iterable[Account], key: UserKey) -> Account:
    """Return the account of this name and host; raise `NotFound`, or `Invalid` for the service's.

    It may have been made in SQL, with a name or host that would be refused here.
    """
    names.refuse_own_user(key.name)
    found = [account for account in existing if account.key == key]
    if not found:
        raise errors.NotFound(f"there is no user {key.name[:80]!r} at host {key.host[:80]!r}")
    return found[0]


def new(key: UserKey) -> Account:
    """Return an account that can be made; raise `Invalid`."""
    return Account(names.check_user(key.name), key.host, names.check_host(key.host))


def quoted(session: Session, account: Account) -> str:
    return f"{session.quoted(account.name)}@{session.quoted(account.stored_host)}"


def identified(session: Session, password: Secret) -> str:
    """Return the clause that sets a password."""
    verifier = session.quoted(_verifier(names.check_password(password)))
    return f"IDENTIFIED VIA mysql_native_password USING {verifier}"


def _verifier(password: Secret) -> str:
    """Return what the server stores, so that the password itself is in no statement and no log.

    MariaDB documentation, "Authentication Plugin - mysql_native_password": SHA1(SHA1(password)).
    """
    first = hashlib.sha1(password.reveal().encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(first, usedforsecurity=False).hexdigest().upper()
