"""The catalog's operations in memory: the same verbs and the same meaning, on a clock of one's own.

`tests/contract/test_journal.py` holds it to what the catalog does.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dbaas.catalog.journal import ClaimLost
from dbaas.catalog.operations import Request
from dbaas.common import sealing
from dbaas.common.sealing import Sealer
from dbaas.contract import codec, errors
from dbaas.contract.operations import (
    ENDED,
    Claim,
    CommandRecord,
    Fact,
    Fault,
    LedgerEntry,
    LedgerKind,
    Made,
    Operation,
    Phase,
    Position,
    State,
    StepState,
    object_name,
)
from dbaas.taskmanager.journal import Effects

_DAY = 24 * 3600.0


@dataclass
class Clock:
    """Seconds; time passes when somebody adds to it."""

    now: float = 1_000.0


@dataclass
class StepRow:
    name: str
    state: StepState = StepState.PENDING
    attempts: int = 0
    message: str = ""


@dataclass
class Row:
    """An operation."""

    id: str
    kind: str
    project_id: str
    user_id: str
    request_id: str
    instance_id: str
    request: str
    locks: tuple[str, ...]
    run_at: float | None
    after_id: str | None
    state: State = State.RUNNABLE
    position: Position = field(default_factory=Position)
    data: str | None = None
    step_deadline: float | None = None
    deadline: float | None = None
    owner: str | None = None
    epoch: int = 0
    lease_until: float | None = None
    wakes: int = 0
    superseded_by: str | None = None
    fault: Fault | None = None
    steps: list[StepRow] = field(default_factory=list)


@dataclass
class CommandRow:
    id: str
    operation_id: str
    instance_id: str
    method: str
    digest: str
    sent_at: float
    deadline: float
    result: str | None = None


@dataclass
class LedgerRow:
    name: str
    instance_id: str
    kind: LedgerKind
    generation: int
    state: str = "intended"
    external_id: str = ""
    tried_at: float | None = None


class MemoryJournal:
    """Operations, commands, locks and the ledger; a write that a step asks for gets a list."""

    def __init__(self, clock: Clock, sealer: Sealer) -> None:
        self.operations: dict[str, Row] = {}
        self.commands: dict[str, CommandRow] = {}
        self.locks: dict[str, str] = {}
        self.ledger: dict[str, LedgerRow] = {}
        self.notes: list[Any] = []
        """What the writes of steps left: each appends to the list that it gets."""
        self._clock = clock
        self._sealer = sealer

    # Accepting and claiming

    def accept(self, request: Request) -> str:
        holders = sorted({self.locks[each] for each in request.locks if each in self.locks})
        if holders and (not request.supersede or len(holders) > 1):
            raise errors.Busy(f"locked by {holders}")
        row = Row(
            id=str(uuid.UUID(int=len(self.operations) + 1)),
            kind=request.kind,
            project_id=request.project_id,
            user_id=request.user_id,
            request_id=request.request_id,
            instance_id=request.instance_id,
            request=json.dumps(codec.dump(request.body, self._sealer.hide)),
            locks=request.locks,
            run_at=self._clock.now,
            after_id=holders[0] if holders else None,
        )
        self.operations[row.id] = row
        self.locks.update(dict.fromkeys(request.locks, row.id))
        for holder in holders:
            before = self.operations[holder]
            before.superseded_by = row.id
            before.state = State.RUNNABLE
            self._wake(before)
        return row.id

    def claim(self, owner: str, lease: float, limit: int) -> list[Claim]:
        due = [row for row in self.operations.values() if self._due(row)]
        due.sort(key=lambda row: row.run_at or 0.0)
        return [self._claim(row, owner, lease) for row in due[:limit]]

    def claim_one(self, owner: str, lease: float, operation_id: str) -> list[Claim]:
        row = self.operations[operation_id]
        return [self._claim(row, owner, lease)] if self._due(row) else []

    def _due(self, row: Row) -> bool:
        timed = row.run_at is not None and row.run_at <= self._clock.now
        free = row.lease_until is None or row.lease_until < self._clock.now
        return row.state is State.RUNNABLE and timed and free

    def _claim(self, row: Row, owner: str, lease: float) -> Claim:
        takeover = row.lease_until is not None
        row.owner, row.lease_until = owner, self._clock.now + lease
        row.epoch += 1
        return Claim(row.id, row.epoch, takeover)

    def renew(self, claims: Iterable[Claim], lease: float) -> set[str]:
        held = set()
        for claim in claims:
            row = self.operations[claim.operation_id]
            if row.epoch == claim.epoch and row.lease_until is not None:
                row.lease_until = self._clock.now + lease
                held.add(row.id)
        return held

    # What guests and people do

    def answer(self, command_id: str, instance_id: str, result: Any) -> bool:
        command = self.commands.get(command_id)
        if command is None or command.result is not None or command.instance_id != instance_id:
            return False
        command.result = json.dumps(result)
        self._wake(self.operations[command.operation_id])
        return True

    def retry(self, operation_id: str) -> None:
        row = self._parked(operation_id)
        row.state = State.RUNNABLE
        row.position = replace(row.position, attempt=row.position.attempt + 1)
        if row.deadline is not None:
            row.deadline = row.step_deadline = self._clock.now + _DAY
        row.fault = None
        self._wake(row)

    def abandon(self, operation_id: str) -> None:
        self._end(self._parked(operation_id), State.ABANDONED, None)

    def stuck(self) -> list[str]:
        return [
            row.id
            for row in self.operations.values()
            if row.state not in ENDED and row.run_at is None and row.fault is None
        ]

    def _parked(self, operation_id: str) -> Row:
        row = self.operations[operation_id]
        if row.state is not State.PARKED:
            raise errors.Conflict(f"{operation_id} is {row.state}")
        return row

    def _wake(self, row: Row) -> None:
        if row.state is State.RUNNABLE:
            row.run_at = self._clock.now
            row.wakes += 1

    # Journalling

    def _fence(self, claim: Claim) -> Row:
        row = self.operations[claim.operation_id]
        if row.epoch != claim.epoch or row.state is not State.RUNNABLE:
            raise ClaimLost(claim.operation_id)
        return row

    def load(self, claim: Claim) -> Operation:
        row = self._fence(claim)
        before = None if row.after_id is None else self.operations[row.after_id]
        return Operation(
            id=row.id,
            kind=row.kind,
            instance_id=row.instance_id,
            project_id=row.project_id,
            user_id=row.user_id,
            request_id=row.request_id,
            position=row.position,
            request=json.loads(row.request),
            data=None if row.data is None else json.loads(row.data),
            started=row.deadline is not None,
            superseded=row.superseded_by is not None,
            predecessor_ended=before is None or before.state in ENDED,
            wakes=row.wakes,
            step_left=self._until(row.step_deadline),
            left=self._until(row.deadline),
            fault=row.fault,
            superseder=self._superseder(row),
            commands={
                each.id: self._record(each)
                for each in self.commands.values()
                if each.operation_id == row.id
            },
        )

    def _until(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._clock.now

    def _record(self, row: CommandRow) -> CommandRecord:
        return CommandRecord(
            id=row.id,
            instance_id=row.instance_id,
            method=row.method,
            digest=row.digest,
            answered=row.result is not None,
            result=None if row.result is None else json.loads(row.result),
            age=self._clock.now - row.sent_at,
            left=row.deadline - self._clock.now,
        )

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
        row = self._fence(claim)
        row.steps = [StepRow(name) for name in steps]
        row.position = position
        row.data = json.dumps(data)
        row.deadline = self._clock.now + deadline
        row.step_deadline = self._clock.now + step_deadline
        self._begin_step(row)
        return self._moved(replace(op, started=True), row)

    def _moved(self, op: Operation, row: Row) -> Operation:
        """Return what the caller knows, with what a move changes."""
        return replace(
            op,
            position=row.position,
            data=json.loads(row.data or "null"),
            superseded=row.superseded_by is not None,
            wakes=row.wakes,
            step_left=self._until(row.step_deadline),
            left=self._until(row.deadline),
            fault=row.fault,
            commands={},
            superseder=self._superseder(row),
        )

    def _superseder(self, row: Row) -> str:
        return "" if row.superseded_by is None else self.operations[row.superseded_by].kind

    def write_command(self, claim: Claim, command: CommandRecord) -> None:
        self._fence(claim)
        if command.id in self.commands:
            raise AssertionError(f"{command.id} is written twice")
        self.commands[command.id] = CommandRow(
            command.id,
            claim.operation_id,
            command.instance_id,
            command.method,
            command.digest,
            self._clock.now,
            self._clock.now + command.left,
        )

    def touch_command(self, claim: Claim, command_id: str) -> None:
        self._fence(claim)
        self.commands[command_id].sent_at = self._clock.now

    def unsend_command(self, claim: Claim, command_id: str, deadline: float) -> None:
        self._fence(claim)
        command = self.commands[command_id]
        command.sent_at = float("-inf")
        command.deadline = self._clock.now + deadline

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
        row = self._fence(claim)
        before = op.position
        self._apply(effects)
        kept = row.wakes != op.wakes or delay <= 0
        self._end_step(row, before, after, fault)
        row.position = after
        self._begin_step(row)
        row.data = json.dumps(data)
        if fault is not None and (before.phase, after.phase) == (Phase.DO, Phase.UNDO):
            row.fault = fault
        if step_deadline is not None:
            row.step_deadline = self._clock.now + step_deadline
        if not kept:
            self._release(row, self._clock.now + delay)
            return None
        return self._moved(op, row)

    def sleep(self, claim: Claim, seconds: float, wakes: int, facts: Sequence[Fact] = ()) -> bool:
        row = self._fence(claim)
        self._note(facts)
        if row.wakes != wakes:
            return False
        self._release(row, self._clock.now + seconds)
        return True

    def park(self, claim: Claim, position: Position, fault: Fault, effects: Effects) -> bool:
        row = self._fence(claim)
        if row.superseded_by is not None:
            self._note(effects.facts)
            return True
        self._apply(effects)
        if row.steps:
            row.steps[position.step].state = StepState.FAILED
            row.steps[position.step].message = fault.message
        row.state, row.fault = State.PARKED, fault
        self._release(row, None)
        return False

    def finish(
        self, claim: Claim, before: Position, state: State, fault: Fault | None, effects: Effects
    ) -> None:
        row = self._fence(claim)
        self._apply(effects)
        if row.steps:
            if state is State.SUCCEEDED:
                row.steps[before.step].state = StepState.DONE
            elif before.phase is Phase.UNDO:
                row.steps[before.step].state = StepState.UNDONE
            elif fault is not None:
                row.steps[before.step].state = StepState.FAILED
        self._end(row, state, fault)

    def _end(self, row: Row, state: State, fault: Fault | None) -> None:
        row.state = state
        row.fault = fault or row.fault
        row.request = json.dumps(sealing.wiped(json.loads(row.request)))
        if row.data is not None:
            row.data = json.dumps(sealing.wiped(json.loads(row.data)))
        self._release(row, None)
        self.commands = {
            each.id: each for each in self.commands.values() if each.operation_id != row.id
        }
        self.locks = {key: value for key, value in self.locks.items() if value != row.id}
        for other in self.operations.values():
            if other.after_id == row.id:
                self._wake(other)

    def _release(self, row: Row, run_at: float | None) -> None:
        row.run_at, row.owner, row.lease_until = run_at, None, None

    def _apply(self, effects: Effects) -> None:
        """All or nothing, like a transaction: a write that fails leaves nothing behind."""
        unit: list[Any] = []
        for write in effects.writes:
            write(unit)
        self.notes.extend(unit)
        self._note(effects.facts)

    def _begin_step(self, row: Row) -> None:
        step = row.steps[row.position.step]
        step.state, step.attempts = StepState.RUNNING, row.position.attempt

    def _end_step(self, row: Row, before: Position, after: Position, fault: Fault | None) -> None:
        step = row.steps[before.step]
        if fault is not None:
            step.message = fault.message
        if (before.phase, before.step) == (after.phase, after.step):
            return
        if before.phase is Phase.UNDO:
            step.state = StepState.UNDONE
        else:
            step.state = StepState.DONE if after.phase is Phase.DO else StepState.FAILED

    # The ledger

    def intend(self, claim: Claim, instance_id: str, kind: LedgerKind) -> LedgerEntry:
        self._fence(claim)
        mine = self._of(instance_id, kind)
        for row in mine:
            if row.state != "gone":
                return self._entry(row)
        generation = mine[-1].generation + 1 if mine else 1
        name = object_name(instance_id, kind, generation)
        self.ledger[name] = LedgerRow(name, instance_id, kind, generation, tried_at=self._clock.now)
        return LedgerEntry(name, kind, "", None, new=True)

    def tried(self, claim: Claim, name: str) -> None:
        self._fence(claim)
        self.ledger[name].tried_at = self._clock.now

    def note(self, claim: Claim, facts: Sequence[Fact]) -> None:
        self._fence(claim)
        self._note(facts)

    def _note(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            row = self.ledger[fact.name]
            if isinstance(fact, Made):
                row.state, row.external_id = "present", fact.external_id
            else:
                row.state = "gone"

    def living(self, instance_id: str, kind: LedgerKind) -> list[LedgerEntry]:
        return [self._entry(row) for row in self._of(instance_id, kind) if row.state != "gone"]

    def _of(self, instance_id: str, kind: LedgerKind) -> list[LedgerRow]:
        rows = [
            row
            for row in self.ledger.values()
            if row.instance_id == instance_id and row.kind == kind
        ]
        return sorted(rows, key=lambda row: row.generation)

    def _entry(self, row: LedgerRow) -> LedgerEntry:
        age = None if row.tried_at is None else self._clock.now - row.tried_at
        return LedgerEntry(row.name, row.kind, row.external_id, age)
