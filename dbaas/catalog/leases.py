"""Who may do what only one process may do at a time."""

import os
import socket

from sqlalchemy import select
from sqlalchemy.dialects.mysql import insert

from dbaas.catalog.moments import NOW, later
from dbaas.catalog.tables import leases as table
from dbaas.catalog.unit import Unit


def take(unit: Unit, name: str, seconds: float) -> bool:
    """Take the lease `name` for `seconds`; return False while somebody has it.

    It is not given back: it runs out, so it also says how often something is done.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}"
    until = later(seconds)
    held = unit.scalar(select(table.c.until > NOW).where(table.c.name == name).with_for_update())
    if held:
        return False
    statement = insert(table).values(name=name, owner=owner, until=until)
    unit.execute(
        statement.on_duplicate_key_update(
            owner=statement.inserted.owner, until=statement.inserted.until
        )
    )
    return True
