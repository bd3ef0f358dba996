"""The catalog's operations and their copy in memory, behind the same verbs."""

import uuid
from collections.abc import Iterable
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import text

from dbaas.catalog import guests, operation_views, operations, tables
from dbaas.catalog.operations import Request
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.sealing import Sealer
from dbaas.contract.operations import Claim, Fault, Operation, Phase, State
from dbaas.taskmanager.journal import CatalogJournal, Journal, Write
from tests.fakes.journal import Clock, MemoryJournal

SEALER = Sealer(bytes(range(32)))

_MOMENTS = {
    "operations": ("run_at", "lease_until", "step_deadline", "deadline"),
    "commands": ("sent_at", "deadline"),
    "ledger": ("tried_at",),
}


class Operations(Protocol):
    """What the API, task managers, the conductor and operators do to operations."""

    journal: Journal

    def accept(self, request: Request) -> str: ...

    def claim(self, owner: str, lease: float, limit: int) -> list[Claim]: ...

    def claim_one(self, owner: str, lease: float, operation_id: str) -> list[Claim]: ...

    def renew(self, claims: Iterable[Claim], lease: float) -> set[str]: ...

    def answer(self, command_id: str, instance_id: str, result: Any) -> bool: ...

    def retry(self, operation_id: str) -> None: ...

    def abandon(self, operation_id: str) -> None: ...

    def stuck(self) -> list[str]: ...

    def pass_time(self, seconds: float) -> None: ...

    def state(self, operation_id: str) -> State: ...

    def fault(self, operation_id: str) -> Fault | None: ...

    def steps(self, operation_id: str) -> list[tuple[str, str, int]]:
        """Return name, state and attempts of each."""

    def documents(self, operation_id: str) -> str:
        """Return request and data as they are stored."""

    def commands(self, operation_id: str) -> list[str]: ...

    def holder(self, instance_id: str) -> str | None: ...

    def noting(self, word: str) -> Write: ...

    def notes(self) -> list[str]: ...


class InMemory:
    def __init__(self) -> None:
        self._clock = Clock()
        self._memory = MemoryJournal(self._clock, SEALER)
        self.journal: Journal = self._memory
        self.accept = self._memory.accept
        self.claim = self._memory.claim
        self.claim_one = self._memory.claim_one
        self.renew = self._memory.renew
        self.answer = self._memory.answer
        self.retry = self._memory.retry
        self.abandon = self._memory.abandon
        self.stuck = self._memory.stuck

    def pass_time(self, seconds: float) -> None:
        self._clock.now += seconds

    def state(self, operation_id: str) -> State:
        return self._memory.operations[operation_id].state

    def fault(self, operation_id: str) -> Fault | None:
        return self._memory.operations[operation_id].fault

    def steps(self, operation_id: str) -> list[tuple[str, str, int]]:
        rows = self._memory.operations[operation_id].steps
        return [(row.name, row.state, row.attempts) for row in rows]

    def documents(self, operation_id: str) -> str:
        row = self._memory.operations[operation_id]
        return f"{row.request} {row.data}"

    def commands(self, operation_id: str) -> list[str]:
        rows = self._memory.commands.values()
        return [row.id for row in rows if row.operation_id == operation_id]

    def holder(self, instance_id: str) -> str | None:
        return self._memory.locks.get(instance_id)

    def noting(self, word: str) -> Write:
        return lambda unit: unit.append(word)

    def notes(self) -> list[str]:
        return list(self._memory.notes)


class InCatalog:
    """Time passes by moving every moment that is stored into the past: the clock is the database's.

    What other tests left in the catalog would be claimed as well: it is emptied first.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        catalog.run(_empty)
        self.journal: Journal = CatalogJournal(catalog, lambda _id, _seconds: None)

    def accept(self, request: Request) -> str:
        return self._catalog.run(lambda unit: operations.accept(unit, request, SEALER))

    def claim(self, owner: str, lease: float, limit: int) -> list[Claim]:
        return self._catalog.run(lambda unit: operations.claim(unit, owner, lease, limit))

    def claim_one(self, owner: str, lease: float, operation_id: str) -> list[Claim]:
        return self._catalog.run(
            lambda unit: operations.claim_one(unit, owner, lease, operation_id)
        )

    def renew(self, claims: Iterable[Claim], lease: float) -> set[str]:
        return self._catalog.run(lambda unit: operations.renew(unit, claims, lease))

    def answer(self, command_id: str, instance_id: str, result: Any) -> bool:
        def work(unit: Unit) -> bool:
            found = guests.outstanding(unit, [command_id]).get(command_id)
            if found is None or found.instance_id != instance_id:
                return False
            return guests.answer(unit, found, result)

        return self._catalog.run(work)

    def retry(self, operation_id: str) -> None:
        self._catalog.run(lambda unit: operation_views.retry(unit, operation_id))

    def abandon(self, operation_id: str) -> None:
        self._catalog.run(lambda unit: operation_views.abandon(unit, operation_id))

    def stuck(self) -> list[str]:
        return self._catalog.read(operation_views.stuck)

    def pass_time(self, seconds: float) -> None:
        def work(unit: Unit) -> None:
            for table, columns in _MOMENTS.items():
                changes = ", ".join(
                    f"{name} = {name} - INTERVAL {int(seconds * 1e6)} MICROSECOND"
                    for name in columns
                )
                unit.execute(text(f"UPDATE {table} SET {changes}"))

        self._catalog.run(work)

    def state(self, operation_id: str) -> State:
        return State(
            self._catalog.read(lambda unit: operation_views.show(unit, operation_id)).state
        )

    def fault(self, operation_id: str) -> Fault | None:
        return self._catalog.read(lambda unit: operation_views.show(unit, operation_id)).fault

    def steps(self, operation_id: str) -> list[tuple[str, str, int]]:
        view = self._catalog.read(lambda unit: operation_views.show(unit, operation_id))
        return [(step.name, step.state, step.attempts) for step in view.steps]

    def documents(self, operation_id: str) -> str:
        table = tables.operations
        query = sqlalchemy.select(table.c.request, table.c.data).where(table.c.id == operation_id)
        row = self._catalog.read(lambda unit: unit.execute(query).one())
        return f"{row.request} {row.data}"

    def commands(self, operation_id: str) -> list[str]:
        table = tables.commands
        query = sqlalchemy.select(table.c.id).where(table.c.operation_id == operation_id)
        return self._catalog.read(lambda unit: list(unit.scalars(query)))

    def holder(self, instance_id: str) -> str | None:
        return self._catalog.read(lambda unit: operations.running(unit, instance_id))

    def noting(self, word: str) -> Write:
        note = sqlalchemy.insert(tables.datastores).values(id=str(uuid.uuid4()), name=word)
        return lambda unit: unit.execute(note)

    def notes(self) -> list[str]:
        query = sqlalchemy.select(tables.datastores.c.name)
        return self._catalog.read(lambda unit: sorted(unit.scalars(query)))


def _empty(unit: Unit) -> None:
    for table in reversed(tables.metadata.sorted_tables):
        unit.execute(table.delete())


def at(op: Operation) -> tuple[Phase, int, int]:
    return op.position.phase, op.position.step, op.position.attempt
