"""Speak to MariaDB as its administrator, over the socket."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.constants import ER

from dbaas.contract import errors
from dbaas.engines.mariadb.names import ADMIN
from dbaas.engines.mariadb.takeover import Entrance

LOG = logging.getLogger(__name__)

LOCK_TIMEOUT = 5
"""Seconds to wait for what a tenant's transaction holds."""
OWN_WAYS = (
    "SET SESSION sql_mode = 'NO_AUTO_CREATE_USER,STRICT_ALL_TABLES', sql_quote_show_create = 1,"
    " tx_read_only = 0, sql_big_selects = 1, sql_select_limit = ~0, max_statement_time = 0,"
    f" lock_wait_timeout = {LOCK_TIMEOUT}"
)
"""A tenant may have set other ways for everybody: how a literal is quoted, for one."""

DENIED = (
    *(ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR),
    *(ER.SPECIFIC_ACCESS_DENIED_ERROR, 1698, 4151),
)
"""1698: no password was asked for; 4151: the account is locked."""

GONE = (0, ER.SERVER_SHUTDOWN, 1927)
"""0: the driver has no number for it; 1927: the connection was killed."""

REFUSED = frozenset(
    (
        ER.WRONG_DB_NAME,
        ER.UNKNOWN_CHARACTER_SET,
        ER.UNKNOWN_COLLATION,
        ER.COLLATION_CHARSET_MISMATCH,
        ER.TOO_LONG_IDENT,
        ER.WRONG_STRING_LENGTH,
    )
)


class Session:
    """One connection of the administrator."""

    def __init__(self, connection: "pymysql.connections.Connection[Any]") -> None:
        self._connection = connection

    def rows(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        """Run one statement; each `%s` in it stands for a value, bound as a literal."""
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(statement, values or None)
            except pymysql.MySQLError as error:
                raise _translated(error) from error
            return list(cursor.fetchall())

    def quoted(self, value: str) -> str:
        """Return `value` as a literal, for statements that also hold identifiers."""
        return str(self._connection.escape(value))


@contextmanager
def session(entrance: Entrance, *, timeout: float = 10.0) -> Iterator[Session]:
    """Connect; raise `Unavailable` when the server does not answer, `Forbidden` when it refuses."""
    try:
        connection = pymysql.connect(
            unix_socket=str(entrance.socket),
            user=ADMIN,
            password=entrance.password.read_text() if entrance.password else "",
            charset="utf8mb4",
            autocommit=True,
            init_command=OWN_WAYS,
            connect_timeout=max(1, int(timeout)),
            read_timeout=timeout,
            write_timeout=timeout,
        )
    except (pymysql.MySQLError, OSError) as error:
        raise _translated(error) from error
    try:
        yield Session(connection)
    finally:
        connection.close()


@contextmanager
def all_or_none(admin: Session) -> Iterator[list[str]]:
    """Give a list for statements that undo what was done; a failure runs them, the last one first.

    MariaDB commits each statement about accounts and databases by itself.
    """
    undo: list[str] = []
    try:
        yield undo
    except errors.Error:
        for statement in reversed(undo):
            try:
                admin.rows(statement)
            except errors.Error as error:
                LOG.error("could not be undone: %s", error)  # noqa: TRY400  # nothing to trace
        raise


def sign_of_life(entrance: Entrance, timeout: float) -> tuple[bool, str]:
    """Return whether the server answers a query, and its version."""
    try:
        with session(entrance, timeout=timeout) as admin:
            ((version,),) = admin.rows("SELECT VERSION()")
    except (errors.Forbidden, errors.Busy):
        return True, ""  # it answers: but its tenant shut us out, or has every connection in use
    except errors.Error:
        return False, ""
    return True, str(version).partition("-")[0]


def _translated(error: Exception) -> errors.Error:
    """Return the error in our own words: the driver's may hold the statement, and so a secret."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if code in DENIED:
        return errors.Forbidden(
            "the database server refuses the service's own account: a restart of the instance"
            " makes it anew"
        )
    if code == ER.CON_COUNT_ERROR:
        return errors.Busy("the database server has no connection left")
    if code == ER.LOCK_WAIT_TIMEOUT:
        return errors.Busy("a transaction holds what is to be changed")
    if code == ER.DB_CREATE_EXISTS:
        return errors.Conflict("there is a database of that name, if its case does not count")
    if code == ER.CANNOT_USER:
        return errors.Conflict("an account of that name was made, or removed, in the meantime")
    if code in REFUSED:
        return errors.Invalid(f"the database server refuses a name (error {code})")
    if isinstance(error, OSError) or code in GONE or 2000 <= code < 3000:  # the driver's own
        return errors.Unavailable(f"the database server does not answer (error {code})")
    return errors.Failed(f"the database server refused a statement (error {code})")
