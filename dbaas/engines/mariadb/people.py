"""The tenant's accounts and roles as statements that make them again, with passwords and rights."""

import re
from collections.abc import Iterator

from dbaas.engines.mariadb import accounts, names
from dbaas.engines.mariadb.admin import Session

ROLES = "SELECT user FROM mysql.global_priv WHERE JSON_VALUE(priv, '$.is_role') = 1 ORDER BY user"
PUBLIC = "PUBLIC"
"""Everybody: kept as a role, and always there."""
ROOTS = "SELECT host FROM mysql.global_priv WHERE user = %s AND host <> 'localhost' ORDER BY host"

IF_THERE = "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1146, 1054, 1305 BEGIN END; {}; END"
"""A right on a table, a column or a routine outlives it in the server, and cannot be granted then:
these are the errors that say so (MariaDB documentation, "MariaDB Error Codes")."""


def statements(session: Session) -> Iterator[str]:
    """Yield them in an order in which they can be run; never the service's own accounts.

    The tenant as administrator is among them. Passwords are there as the server keeps them.
    """
    roles = [names.identifier(str(role)) for (role,) in session.rows(ROLES)]
    people = [accounts.quoted(session, each) for each in accounts.tenant_s(session)]
    for (host,) in session.rows(ROOTS, names.ROOT):
        people.append(f"{session.quoted(names.ROOT)}@{session.quoted(str(host))}")
    for role in roles:
        if role != names.identifier(PUBLIC):
            yield f"CREATE OR REPLACE ROLE {role}"
    for each in people:
        ((made,),) = session.rows(f"SHOW CREATE USER {each}")
        yield re.sub(r"^CREATE USER", "CREATE OR REPLACE USER", str(made))
    for each in (*roles, *people):
        for (granted,) in session.rows(f"SHOW GRANTS FOR {each}"):
            yield IF_THERE.format(granted)
