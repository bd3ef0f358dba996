"""The journal of operations: what a runner writes, so that another one can go on from it.

Every transaction begins with a fence: the operation's row with the runner's own epoch, locked. So
one that was paused and lost its claim writes nothing.
"""

import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import mysql

from dbaas.catalog import backups
from dbaas.catalog.moments import NOW, later, later_by, seconds_since, seconds_until
from dbaas.catalog.tables import commands as command_table
from dbaas.catalog.tables import instance_locks
from dbaas.catalog.tables import operation_steps as steps_table
from dbaas.catalog.tables import operations as table
from dbaas.catalog.unit import Unit
from dbaas.common import sealing
from dbaas.contract.operations import (
    ENDED,
    Claim,
    CommandRecord,
    Fault,
    Operation,
    Phase,
    Position,
    State,
    StepState,
)

_LONG_AGO = datetime.datetime(2000, 1, 1)  # noqa: DTZ001 # the catalog keeps UTC without a zone


class ClaimLost(Exception):
    """Another task manager has the operation now, or it ended: whoever gets this stops."""


_HELD = (
    table.c.id == bindparam("claimed_id"),
    table.c.epoch == bindparam("claimed_epoch"),
    table.c.state == State.RUNNABLE.value,
)
_BEFORE, _NEXT = table.alias("before"), table.alias("next")
_TIMES = (
    seconds_until(table.c.step_deadline).label("step_left"),
    seconds_until(table.c.deadline).label("total_left"),
    seconds_since(table.c.created_at).label("age"),
)

# Made once: to build a statement costs more than to run it.
_FENCE = select(table.c.wakes, table.c.superseded_by).where(*_HELD).with_for_update()
_FENCE_AND_TIMES = _FENCE.add_columns(*_TIMES)
_LOAD = (
    select(
        table.c.id,
        table.c.kind,
        table.c.instance_id,
        table.c.project_id,
        table.c.user_id,
        table.c.request_id,
        table.c.phase,
        table.c.step,
        table.c.attempt,
        table.c.pivoted,
        table.c.request,
        table.c.data,
        table.c.deadline,
        table.c.superseded_by,
        table.c.wakes,
        table.c.fault_kind,
        table.c.fault_message,
        table.c.fault_details,
        *_TIMES,
        _BEFORE.c.state.label("before_state"),
        _NEXT.c.kind.label("superseder"),
    )
    .select_from(
        table.outerjoin(_BEFORE, _BEFORE.c.id == table.c.after_id).outerjoin(
            _NEXT, _NEXT.c.id == table.c.superseded_by
        )
    )
    .where(*_HELD)
)
_COMMANDS = select(
    command_table.c.id,
    command_table.c.instance_id,
    command_table.c.method,
    command_table.c.digest,
    command_table.c.state,
    command_table.c.result,
    seconds_since(command_table.c.sent_at).label("age"),
    seconds_until(command_table.c.deadline).label("seconds_left"),
).where(command_table.c.operation_id == bindparam("claimed_id"))
_WRITE_COMMAND = (
    mysql.insert(command_table)
    .values(state="sent", sent_at=NOW, deadline=later_by(bindparam("patience")))
    .on_duplicate_key_update(id=command_table.c.id)
)
_SLEEP = (
    update(table)
    .where(table.c.id == bindparam("claimed_id"))
    .values(updated_at=NOW, run_at=later_by(bindparam("delay")), owner=None, lease_until=None)
)
_MOVE = (
    update(table)
    .where(table.c.id == bindparam("claimed_id"))
    .values(
        updated_at=NOW,
        phase=bindparam("to_phase"),
        step=bindparam("to_step"),
        attempt=bindparam("to_attempt"),
        pivoted=bindparam("to_pivoted"),
        data=bindparam("to_data"),
        step_deadline=func.coalesce(later_by(bindparam("patience")), table.c.step_deadline),
    )
)
_ENDS, _BEGINS = (steps_table.c.n == bindparam(name) for name in ("ended", "begun"))
# One statement for both steps, which may be one and the same.
_MOVE_STEPS = (
    update(steps_table)
    .where(steps_table.c.operation_id == bindparam("claimed_id"), or_(_ENDS, _BEGINS))
    .values(
        state=case((_BEGINS, StepState.RUNNING.value), else_=bindparam("end")),
        attempts=case((_BEGINS, bindparam("attempt")), else_=steps_table.c.attempts),
        started_at=case(
            (_BEGINS, func.coalesce(steps_table.c.started_at, NOW)),
            else_=steps_table.c.started_at,
        ),
        finished_at=case(
            (and_(_ENDS, bindparam("end").is_not(None)), NOW), else_=steps_table.c.finished_at
        ),
        message=case(
            (_ENDS, func.coalesce(bindparam("said"), steps_table.c.message)),
            else_=steps_table.c.message,
        ),
    )
)


def fence(unit: Unit, claim: Claim, statement: Any = _FENCE) -> Any:
    """Lock the operation's row; raise `ClaimLost` unless `claim` still holds."""
    row = unit.execute(statement, _of(claim)).one_or_none()
    if row is None:
        raise ClaimLost(claim.operation_id)
    return row


def _of(claim: Claim) -> dict[str, Any]:
    return {"claimed_id": claim.operation_id, "claimed_epoch": claim.epoch}


def load(unit: Unit, claim: Claim) -> Operation:
    """Return the operation with the commands of its present step; raise `ClaimLost`."""
    row = unit.execute(_LOAD, _of(claim)).one_or_none()
    if row is None:
        raise ClaimLost(claim.operation_id)
    return Operation(
        id=row.id,
        kind=row.kind,
        instance_id=row.instance_id,
        project_id=row.project_id,
        user_id=row.user_id,
        request_id=row.request_id,
        position=Position(Phase(row.phase), row.step, row.attempt, bool(row.pivoted)),
        request=json.loads(row.request),
        data=None if row.data is None else json.loads(row.data),
        started=row.deadline is not None,
        superseded=row.superseded_by is not None,
        predecessor_ended=row.before_state is None or row.before_state in ENDED,
        wakes=row.wakes,
        step_left=_float(row.step_left),
        left=_float(row.total_left),
        fault=fault_of(row),
        age=float(row.age),
        commands={} if row.deadline is None else _commands(unit, row.id),
        superseder=row.superseder or "",
    )


def _commands(unit: Unit, operation_id: str) -> dict[str, CommandRecord]:
    rows = unit.execute(_COMMANDS, {"claimed_id": operation_id})
    return {
        row.id: CommandRecord(
            id=row.id,
            instance_id=row.instance_id,
            method=row.method,
            digest=row.digest,
            answered=row.state == "answered",
            result=None if row.result is None else json.loads(row.result),
            age=float(row.age),
            left=float(row.seconds_left),
        )
        for row in rows
    }


def _float(number: Any) -> float | None:
    return None if number is None else float(number)


def start(
    unit: Unit,
    claim: Claim,
    op: Operation,
    steps: Sequence[str],
    position: Position,
    data: Any,
    deadline: float,
    step_deadline: float,
) -> Operation:
    """Begin an operation: write down its steps and its deadlines (seconds from now).

    Returns the operation as it is then.
    """
    row = fence(unit, claim, _FENCE_AND_TIMES)
    unit.execute(
        insert(steps_table),
        [
            {
                "operation_id": claim.operation_id,
                "n": n,
                "name": name,
                "state": StepState.PENDING,
            }
            for n, name in enumerate(steps)
        ],
    )
    _set(
        unit,
        claim,
        **_position(position),
        data=json.dumps(data),
        deadline=later(deadline),
        step_deadline=later(step_deadline),
    )
    _mark_step(
        unit,
        claim,
        position.step,
        state=StepState.RUNNING,
        attempts=position.attempt,
        started_at=NOW,
    )
    begun = replace(op, started=True, left=deadline)
    return _now(unit, begun, row, position, data, step_deadline)


def _now(
    unit: Unit, op: Operation, row: Any, position: Position, data: Any, step_left: float | None
) -> Operation:
    """Return the operation after a move that the fence `row` began: no need to load it again.

    No command belongs to it: those of a step and attempt have ids of their own.
    """
    return replace(
        op,
        position=position,
        data=data,
        superseded=row.superseded_by is not None,
        wakes=row.wakes,
        step_left=step_left,
        age=float(row.age),
        commands={},
        superseder=_kind(unit, row.superseded_by),
    )


def _kind(unit: Unit, operation_id: str | None) -> str:
    if operation_id is None:
        return ""
    return str(unit.scalar(select(table.c.kind).where(table.c.id == operation_id)))


def write_command(unit: Unit, claim: Claim, command: CommandRecord) -> None:
    """Write a journalled call down before it is published; one that is there stays as it is."""
    fence(unit, claim)
    unit.execute(
        _WRITE_COMMAND,
        {
            "id": command.id,
            "operation_id": claim.operation_id,
            "instance_id": command.instance_id,
            "method": command.method,
            "digest": command.digest,
            "patience": int(command.left * 1e6),
        },
    )


def touch_command(unit: Unit, claim: Claim, command_id: str) -> None:
    """Note that a command is published once more."""
    fence(unit, claim)
    unit.execute(update(command_table).where(command_table.c.id == command_id).values(sent_at=NOW))


def unsend_command(unit: Unit, claim: Claim, command_id: str, deadline: float) -> None:
    """Note that the broker did not take a command: it is due at once, with a new deadline."""
    fence(unit, claim)
    unit.execute(
        update(command_table)
        .where(command_table.c.id == command_id)
        .values(sent_at=_LONG_AGO, deadline=later(deadline))
    )


def advance(
    unit: Unit,
    claim: Claim,
    op: Operation,
    after: Position,
    data: Any,
    step_deadline: float | None,
    delay: float,
    fault: Fault | None,
) -> Operation | None:
    """Journal that the work at the position of `op` ended and goes on at `after`, in `delay`
    seconds.

    `step_deadline` is None while the step stays the same. With a delay the claim is released, and
    None returned, unless it was woken since `op` was read; else the operation as it is now.
    """
    before = op.position
    row = fence(unit, claim, _FENCE_AND_TIMES)
    kept = row.wakes != op.wakes or delay <= 0
    unit.execute(
        _MOVE_STEPS,
        {
            "claimed_id": claim.operation_id,
            "ended": before.step,
            "begun": after.step,
            "end": _end_of(before, after),
            "attempt": after.attempt,
            "said": None if fault is None else fault.message,
        },
    )
    unit.execute(
        _MOVE,
        {
            "claimed_id": claim.operation_id,
            "to_phase": after.phase.value,
            "to_step": after.step,
            "to_attempt": after.attempt,
            "to_pivoted": after.pivoted,
            "to_data": json.dumps(data),
            "patience": None if step_deadline is None else int(step_deadline * 1e6),
        },
    )
    why = fault if (before.phase, after.phase) == (Phase.DO, Phase.UNDO) else None
    if why is not None:
        _set(unit, claim, **_fault(why))
    if not kept:
        _release(unit, claim, delay)
        return None
    moved = replace(op, left=_float(row.total_left), fault=why or op.fault)
    left = _float(row.step_left) if step_deadline is None else step_deadline
    return _now(unit, moved, row, after, data, left)


def sleep(unit: Unit, claim: Claim, seconds: float, wakes: int) -> bool:
    """Release the claim until `seconds` from now; return False if it was woken meanwhile.

    `wakes` is what the caller has seen: a wake since then would otherwise be lost. Then it keeps
    the claim and looks again.
    """
    row = fence(unit, claim)
    if row.wakes != wakes:
        return False
    _release(unit, claim, seconds)
    return True


def _release(unit: Unit, claim: Claim, seconds: float) -> None:
    unit.execute(_SLEEP, {"claimed_id": claim.operation_id, "delay": int(seconds * 1e6)})


def say(unit: Unit, operation_id: str, step: int, text: str) -> None:
    """Tell whoever looks at the operation something about this step of it."""
    unit.execute(
        update(steps_table)
        .where(steps_table.c.operation_id == operation_id, steps_table.c.n == step)
        .values(message=text)
    )


def park(unit: Unit, claim: Claim, position: Position, fault: Fault) -> bool:
    """Stop for an operator, or the tenant, to decide: with a fault, and without a time.

    One that was superseded meanwhile is not parked, its successor waits for it: then nothing is
    written, and True returned: the caller still has it.
    """
    if fence(unit, claim).superseded_by is not None:
        return True
    _mark_step(unit, claim, position.step, state=StepState.FAILED, message=fault.message)
    _set(unit, claim, state=State.PARKED, run_at=None, **_RELEASED, **_fault(fault))
    return False


def finish(unit: Unit, claim: Claim, before: Position, state: State, fault: Fault | None) -> None:
    """End it: give back the locks, wake what waits for it, wipe every secret that it held."""
    fence(unit, claim)
    if state is State.SUCCEEDED:
        _mark_step(unit, claim, before.step, state=StepState.DONE, finished_at=NOW)
    elif before.phase is Phase.UNDO:
        _mark_step(unit, claim, before.step, state=StepState.UNDONE, finished_at=NOW)
    elif fault is not None:
        _mark_step(unit, claim, before.step, state=StepState.FAILED, finished_at=NOW)
    end(unit, claim.operation_id, state, fault)


def end(unit: Unit, operation_id: str, state: State, fault: Fault | None) -> None:
    row = unit.execute(
        select(table.c.request, table.c.data).where(table.c.id == operation_id)
    ).one()
    unit.execute(
        update(table)
        .where(table.c.id == operation_id)
        .values(
            state=state,
            run_at=None,
            finished_at=NOW,
            updated_at=NOW,
            request=_wiped(row.request),
            data=_wiped(row.data),
            **_RELEASED,
            **({} if fault is None else _fault(fault)),
        )
    )
    if state is not State.SUCCEEDED:
        backups.operation_ended(unit, operation_id, "" if fault is None else fault.message)
    unit.execute(delete(command_table).where(command_table.c.operation_id == operation_id))
    unit.execute(delete(instance_locks).where(instance_locks.c.operation_id == operation_id))
    unit.execute(
        update(table)
        .where(table.c.after_id == operation_id, table.c.state == State.RUNNABLE)
        .values(run_at=NOW, wakes=table.c.wakes + 1)
    )


_RELEASED: dict[str, Any] = {"owner": None, "lease_until": None}


def _wiped(document: str | None) -> str | None:
    return None if document is None else json.dumps(sealing.wiped(json.loads(document)))


def _position(position: Position) -> dict[str, Any]:
    return {
        "phase": position.phase,
        "step": position.step,
        "attempt": position.attempt,
        "pivoted": position.pivoted,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "fault_kind": fault.kind,
        "fault_message": fault.message,
        "fault_details": fault.details,
    }


def _set(unit: Unit, claim: Claim, **values: Any) -> None:
    unit.execute(
        update(table).where(table.c.id == claim.operation_id).values(updated_at=NOW, **values)
    )


def _end_of(before: Position, after: Position) -> StepState | None:
    """Return how the step at `before` has ended; None while it goes on."""
    if (before.phase, before.step) == (after.phase, after.step):
        return None
    if before.phase is Phase.UNDO:
        return StepState.UNDONE
    return StepState.DONE if after.phase is Phase.DO else StepState.FAILED


def _mark_step(unit: Unit, claim: Claim, step: int, **values: Any) -> None:
    unit.execute(
        update(steps_table)
        .where(
            steps_table.c.operation_id == claim.operation_id,
            steps_table.c.n == step,
        )
        .values(**values)
    )


def fault_of(row: Any) -> Fault | None:
    if row.fault_kind is None:
        return None
    return Fault(row.fault_kind, row.fault_message or "", row.fault_details or "")
