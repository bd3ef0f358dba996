"""The ledger: every object outside the catalog is written down here before it is made.

A name is never used twice: each new object of a role is another generation. Writes belong into a
transaction that a fence has begun (`journal.fence`).
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from dbaas.catalog.moments import NOW, seconds_since
from dbaas.catalog.tables import ledger as table
from dbaas.catalog.unit import Unit
from dbaas.contract.operations import Fact, LedgerEntry, LedgerKind, Made, object_name

_TRIED_AGE = seconds_since(table.c.tried_at).label("tried_age")
# Made once: to build a statement costs more than to run it.
_GENERATIONS = (
    select(table, _TRIED_AGE)
    .where(table.c.instance_id == bindparam("instance"), table.c.kind == bindparam("of"))
    .order_by(table.c.generation)
    .with_for_update()
)
_NEW = insert(table).values(state="intended", intended_at=NOW, tried_at=NOW)
_MADE = (
    update(table)
    .where(table.c.name == bindparam("of"))
    .values(state="present", external_id=bindparam("id"))
)
_GONE = update(table).where(table.c.name == bindparam("of")).values(state="gone", gone_at=NOW)


def intend(unit: Unit, operation_id: str, instance_id: str, kind: LedgerKind) -> LedgerEntry:
    """Return the entry under which this object is made: one that lives, or a new generation.

    A new one counts as tried from now on: whoever gets it goes on to make the object.
    """
    rows = unit.execute(_GENERATIONS, {"instance": instance_id, "of": kind}).all()
    for row in rows:
        if row.state != "gone":
            return _entry(row)
    generation = rows[-1].generation + 1 if rows else 1
    name = object_name(instance_id, kind, generation)
    unit.execute(
        _NEW,
        {
            "name": name,
            "instance_id": instance_id,
            "operation_id": operation_id,
            "kind": kind,
            "generation": generation,
        },
    )
    return LedgerEntry(name, kind, "", None, new=True)


def tried(unit: Unit, name: str) -> None:
    """Note that a create of unknown outcome begins now."""
    unit.execute(update(table).where(table.c.name == name).values(tried_at=NOW))


def note(unit: Unit, facts: Iterable[Fact]) -> None:
    """Write down what was learnt about objects."""
    for fact in facts:
        if isinstance(fact, Made):
            unit.execute(_MADE, {"of": fact.name, "id": fact.external_id})
        else:
            unit.execute(_GONE, {"of": fact.name})


def living(
    unit: Unit, instance_id: str | None = None, kind: LedgerKind | None = None
) -> list[LedgerEntry]:
    """Return what may exist: of one instance or of all, of one kind or of all."""
    query = select(table, _TRIED_AGE).where(table.c.state.in_(("intended", "present")))
    if instance_id is not None:
        query = query.where(table.c.instance_id == instance_id)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    return [_entry(row) for row in unit.execute(query.order_by(table.c.name))]


def gone(unit: Unit, instance_ids: Iterable[str]) -> list[LedgerEntry]:
    """Return what these instances had: nothing of it is there any more, or ever made again."""
    query = select(table, _TRIED_AGE).where(
        table.c.instance_id.in_(list(instance_ids)), table.c.state == "gone"
    )
    return [_entry(row) for row in unit.execute(query)]


def _entry(row: Any) -> LedgerEntry:
    age = None if row.tried_age is None else float(row.tried_age)
    return LedgerEntry(row.name, row.kind, row.external_id, age)
