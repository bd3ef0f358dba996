"""What a tenant has inside MariaDB, over one connection of the administrator."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbaas.contract import messages
from dbaas.engines.base import Attempt
from dbaas.engines.mariadb import access, admin, databases, root, users
from dbaas.engines.mariadb.admin import Session
from dbaas.engines.mariadb.takeover import Entrance

TIMEOUT = 25.0
"""Seconds for one statement: less than the deadline of the commands that run them."""


class MariaDBTenancy:
    """Implements `Tenancy`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_databases(self, order: messages.Page) -> messages.DatabasePage:
        return databases.page(self._session, order)

    def create_databases(self, order: messages.Databases, attempt: Attempt) -> None:
        databases.create(self._session, order.databases, attempt)

    def delete_database(self, order: messages.DatabaseName, attempt: Attempt) -> None:
        databases.delete(self._session, order.name, attempt)

    def list_users(self, order: messages.Page) -> messages.UserPage:
        return users.page(self._session, order)

    def show_user(self, order: messages.UserKey) -> messages.UserView:
        return users.show(self._session, order)

    def create_users(self, order: messages.Users, attempt: Attempt) -> None:
        users.create(self._session, order.users, attempt)

    def change_users(self, order: messages.UserChanges, attempt: Attempt) -> None:
        users.change(self._session, order.changes, attempt)

    def delete_user(self, order: messages.UserKey, attempt: Attempt) -> None:
        users.delete(self._session, order, attempt)

    def grant_access(self, order: messages.Access) -> None:
        access.grant(self._session, order)

    def revoke_access(self, order: messages.Access, attempt: Attempt) -> None:
        access.revoke(self._session, order, attempt)

    def enable_root(self, order: messages.RootPassword) -> None:
        root.enable(self._session, order.password)

    def disable_root(self) -> None:
        root.disable(self._session)


@contextmanager
def connected(entrance: Entrance) -> Iterator[MariaDBTenancy]:
    """Connect for a while; raise `Unavailable`, `Busy` or `Forbidden`."""
    with admin.session(entrance, timeout=TIMEOUT) as session:
        yield MariaDBTenancy(session)
