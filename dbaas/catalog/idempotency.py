"""Idempotency keys: the same request under the same key is done once, and answered the same.

The key is claimed first in the transaction that does the work, so a request that comes while its
twin is being accepted waits for it, and one that was refused leaves no key behind.
"""

import json
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.mysql import insert

from dbaas.catalog.moments import DAY, later
from dbaas.catalog.tables import idempotency_keys as table
from dbaas.catalog.unit import Unit
from dbaas.contract import errors

_DAY_AGO = later(-DAY)


class OtherRequest(errors.Conflict):
    """The key was used within the last day for a request that was not this one."""


def claim(unit: Unit, project_id: str, key: str, digest: str) -> Any:
    """Return the first answer to this request, or None: then it is ours to do, and to `keep`."""
    mine = (table.c.project_id == project_id) & (table.c.key == key.encode())
    row = insert(table).values(project_id=project_id, key=key.encode(), digest=digest, answer="")
    while not unit.execute(row.prefix_with("IGNORE")).rowcount:
        found = unit.execute(
            select(table.c.digest, table.c.answer, (table.c.created_at < _DAY_AGO).label("old"))
            .where(mine)
            .with_for_update()
        ).one_or_none()
        if found is None:
            continue
        if not found.old:
            if found.digest != digest:
                raise OtherRequest(
                    f"The Idempotency-Key {key!r} was used for another request: use a new key."
                )
            return json.loads(found.answer)
        unit.execute(delete(table).where(mine))
    return None


def keep(unit: Unit, project_id: str, key: str, answer: Any) -> None:
    """Store what is answered to this key from now on; it must hold no secret in the clear."""
    unit.execute(
        update(table)
        .where(table.c.project_id == project_id, table.c.key == key.encode())
        .values(answer=json.dumps(answer))
    )


def purge(unit: Unit, limit: int = 1000) -> int:
    """Delete up to `limit` keys that are older than a day; return how many."""
    return unit.execute(
        delete(table).where(table.c.created_at < _DAY_AGO).with_dialect_options(mysql_limit=limit)
    ).rowcount
