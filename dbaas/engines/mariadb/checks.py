"""Whether all of a MariaDB server's data can be read: every table, from its begin to its end."""

import time
from collections.abc import Callable

from dbaas.contract import errors
from dbaas.contract.messages import DataCheck
from dbaas.engines.mariadb import admin, names
from dbaas.engines.mariadb.admin import Session
from dbaas.engines.mariadb.takeover import Entrance

TIMEOUT = 4 * 3600.0
"""Seconds for one table."""
TABLES = (
    "SELECT table_schema, table_name FROM information_schema.tables"
    " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
    " ORDER BY table_schema, table_name"
)
FINE = ("status", "note", "info", "warning")


def read_all(entrance: Entrance, check: Callable[[], None]) -> DataCheck:
    """Check and count each of the tenant's tables; raise `Failed` naming one that is damaged."""
    began = time.monotonic()
    tables = rows = 0
    with admin.session(entrance, timeout=TIMEOUT) as session:
        session.rows("SET SESSION lock_wait_timeout = 3600")
        for schema, table in session.rows(TABLES):
            if names.is_own_database(str(schema)):
                continue
            check()
            rows += _read(session, str(schema), str(table))
            tables += 1
    return DataCheck(tables, rows, time.monotonic() - began)


def _read(session: Session, schema: str, table: str) -> int:
    """Return how many rows the table has.

    MariaDB documentation, "CHECK TABLE": EXTENDED reads every row of every index; what it finds
    comes as rows, of which the last one is `status`. A row that was read is compared with its
    page's checksum by the engine.
    """
    name = f"{names.identifier(schema)}.{names.identifier(table)}"
    try:
        found = session.rows(f"CHECK TABLE {name} EXTENDED")
        ((count,),) = session.rows(f"SELECT COUNT(*) FROM {name}")  # noqa: S608  # quoted
    except errors.Unavailable as error:
        # A page that is damaged may end the server, or the connection.
        raise errors.Unavailable(
            f"the database server went away while it read the table {name}"
        ) from error
    except errors.Error as error:
        raise errors.Failed(f"the table {name} cannot be read: {error.text}") from error
    for _, _, kind, said in found:
        if str(kind).lower() not in FINE:
            raise errors.Failed(f"the table {name} is damaged: {str(said)[:200]}")
    return int(count)
