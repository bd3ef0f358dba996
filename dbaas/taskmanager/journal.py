"""The journal of an operation: what a runner writes so that another one can go on from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dbaas.catalog import journal as rows
from dbaas.catalog import ledger
from dbaas.catalog.journal import ClaimLost
from dbaas.catalog.unit import Catalog, Unit
from dbaas.contract.operations import (
    Claim,
    CommandRecord,
    Fact,
    Fault,
    LedgerEntry,
    LedgerKind,
    Operation,
    Position,
    State,
)

__all__ = ["NOTHING", "CatalogJournal", "ClaimLost", "Effects", "Journal", "Write"]

Write = Callable[[Any], object]
"""What a step wants written in the very transaction that journals its end; gets the unit."""


@dataclass(frozen=True)
class Effects:
    """What the end of a run of a step brings with it, in the transaction that journals it."""

    facts: Sequence[Fact] = ()
    """What was learnt of clouds: it is so, however the step has ended."""
    writes: Sequence[Write] = ()


NOTHING = Effects()


class Journal(Protocol):
    """Every writing verb is one transaction, and raises `ClaimLost` unless the claim holds."""

    def load(self, claim: Claim) -> Operation: ...

    def start(
        self,
        claim: Claim,
        op: Operation,
        steps: Sequence[str],
        position: Position,
        data: Any,
        deadline: float,
        step_deadline: float,
    ) -> Operation: ...

    def write_command(self, claim: Claim, command: CommandRecord) -> None: ...

    def touch_command(self, claim: Claim, command_id: str) -> None: ...

    def unsend_command(self, claim: Claim, command_id: str, deadline: float) -> None: ...

    def advance(
        self,
        claim: Claim,
        op: Operation,
        after: Position,
        data: Any,
        *,
        step_deadline: float | None,
        delay: float,
        fault: Fault | None,
        effects: Effects,
    ) -> Operation | None: ...

    def sleep(
        self, claim: Claim, seconds: float, wakes: int, facts: Sequence[Fact] = ()
    ) -> bool: ...

    def park(self, claim: Claim, position: Position, fault: Fault, effects: Effects) -> bool: ...

    def finish(
        self, claim: Claim, before: Position, state: State, fault: Fault | None, effects: Effects
    ) -> None: ...

    def intend(self, claim: Claim, instance_id: str, kind: LedgerKind) -> LedgerEntry: ...

    def tried(self, claim: Claim, name: str) -> None: ...

    def note(self, claim: Claim, facts: Sequence[Fact]) -> None: ...

    def living(self, instance_id: str, kind: LedgerKind) -> list[LedgerEntry]: ...


class CatalogJournal:
    """The journal in the catalog; `asleep` hears which operations go on in how many seconds."""

    def __init__(self, catalog: Catalog, asleep: Callable[[str, float], None]) -> None:
        self._catalog = catalog
        self._asleep = asleep

    def load(self, claim: Claim) -> Operation:
        return self._catalog.read(lambda unit: rows.load(unit, claim))

    def start(
        self,
        claim: Claim,
        op: Operation,
        steps: Sequence[str],
        position: Position,
        data: Any,
        deadline: float,
        step_deadline: float,
    ) -> Operation:
        return self._catalog.run(
            lambda unit: rows.start(unit, claim, op, steps, position, data, deadline, step_deadline)
        )

    def write_command(self, claim: Claim, command: CommandRecord) -> None:
        self._catalog.repeat(lambda unit: rows.write_command(unit, claim, command))

    def touch_command(self, claim: Claim, command_id: str) -> None:
        self._catalog.repeat(lambda unit: rows.touch_command(unit, claim, command_id))

    def unsend_command(self, claim: Claim, command_id: str, deadline: float) -> None:
        self._catalog.repeat(lambda unit: rows.unsend_command(unit, claim, command_id, deadline))

    def advance(
        self,
        claim: Claim,
        op: Operation,
        after: Position,
        data: Any,
        *,
        step_deadline: float | None,
        delay: float,
        fault: Fault | None,
        effects: Effects,
    ) -> Operation | None:
        def work(unit: Unit) -> Operation | None:
            moved = rows.advance(unit, claim, op, after, data, step_deadline, delay, fault)
            _write(unit, effects)
            return moved

        moved = self._catalog.run(work)
        if moved is None:
            self._asleep(claim.operation_id, delay)
        return moved

    def sleep(self, claim: Claim, seconds: float, wakes: int, facts: Sequence[Fact] = ()) -> bool:
        def work(unit: Unit) -> bool:
            asleep = rows.sleep(unit, claim, seconds, wakes)
            ledger.note(unit, facts)
            return asleep

        asleep = self._catalog.run(work)
        if asleep:
            self._asleep(claim.operation_id, seconds)
        return asleep

    def park(self, claim: Claim, position: Position, fault: Fault, effects: Effects) -> bool:
        def work(unit: Unit) -> bool:
            kept = rows.park(unit, claim, position, fault)
            _write(unit, Effects(effects.facts) if kept else effects)
            return kept

        return self._catalog.run(work)

    def finish(
        self, claim: Claim, before: Position, state: State, fault: Fault | None, effects: Effects
    ) -> None:
        def work(unit: Unit) -> None:
            rows.finish(unit, claim, before, state, fault)
            _write(unit, effects)

        self._catalog.run(work)

    def intend(self, claim: Claim, instance_id: str, kind: LedgerKind) -> LedgerEntry:
        def work(unit: Unit) -> LedgerEntry:
            rows.fence(unit, claim)
            return ledger.intend(unit, claim.operation_id, instance_id, kind)

        return self._catalog.repeat(work)

    def tried(self, claim: Claim, name: str) -> None:
        self._fenced(claim, lambda unit: ledger.tried(unit, name))

    def note(self, claim: Claim, facts: Sequence[Fact]) -> None:
        self._fenced(claim, lambda unit: ledger.note(unit, facts))

    def living(self, instance_id: str, kind: LedgerKind) -> list[LedgerEntry]:
        return self._catalog.read(lambda unit: ledger.living(unit, instance_id, kind))

    def _fenced(self, claim: Claim, write: Write) -> None:
        def work(unit: Unit) -> None:
            rows.fence(unit, claim)
            write(unit)

        self._catalog.repeat(work)


def _write(unit: Unit, effects: Effects) -> None:
    ledger.note(unit, effects.facts)
    for write in effects.writes:
        write(unit)
