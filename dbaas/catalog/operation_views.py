"""Operations as people see them, and what people decide about those that stopped half way."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, select, update

from dbaas.catalog import journal
from dbaas.catalog.moments import NOW, later
from dbaas.catalog.tables import guest_health, operation_steps
from dbaas.catalog.tables import operations as table
from dbaas.catalog.unit import Unit
from dbaas.contract import codec, errors
from dbaas.contract.messages import Progress
from dbaas.contract.operations import (
    ENDED,
    Fault,
    State,
    StepState,
)


@dataclass(frozen=True)
class StepView:
    name: str
    state: str
    attempts: int
    started_at: Any
    finished_at: Any
    message: str


@dataclass(frozen=True)
class OperationView:
    """An operation as people see it; times are `datetime`, UTC."""

    id: str
    kind: str
    project_id: str
    user_id: str
    request_id: str
    instance_id: str
    state: str
    phase: str
    attempt: int
    fault: Fault | None
    superseded_by: str | None
    created_at: Any
    updated_at: Any
    finished_at: Any
    run_at: Any
    owner: str | None
    steps: tuple[StepView, ...] = ()
    work: Progress | None = None
    """How far its guest is with a long command, where one runs."""

    @property
    def progress(self) -> float:
        """The part of the steps that are done, 0 to 1."""
        if self.state == State.SUCCEEDED:
            return 1.0
        done = sum(step.state == StepState.DONE for step in self.steps)
        return done / len(self.steps) if self.steps else 0.0


def page(
    unit: Unit,
    project_id: str | None = None,
    *,
    instance_id: str | None = None,
    state: str | None = None,
    limit: int = 20,
    marker: str | None = None,
) -> list[OperationView]:
    """Return operations, the newest first, those after `marker`; with their steps."""
    query = select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(table.c.project_id == project_id)
    if instance_id is not None:
        query = query.where(table.c.instance_id == instance_id)
    if state is not None:
        query = query.where(table.c.state == state)
    if marker is not None:
        last = select(table.c.created_at).where(table.c.id == marker).scalar_subquery()
        query = query.where(
            (table.c.created_at < last) | ((table.c.created_at == last) & (table.c.id < marker))
        )
    rows = unit.execute(query).all()
    steps = _steps(unit, [row.id for row in rows])
    work = _work(unit, rows)
    return [_view(row, steps.get(row.id, ()), work.get(row.id)) for row in rows]


def show(unit: Unit, operation_id: str, project_id: str | None = None) -> OperationView:
    """Return one operation with its steps; raise `NotFound`, also for another project's."""
    query = select(table).where(table.c.id == operation_id)
    if project_id is not None:
        query = query.where(table.c.project_id == project_id)
    row = unit.execute(query).one_or_none()
    if row is None:
        raise errors.NotFound(f"Operation {operation_id} cannot be found.")
    return _view(row, _steps(unit, [row.id]).get(row.id, ()), _work(unit, [row]).get(row.id))


def stuck(unit: Unit) -> list[str]:
    """Return the operations that are stuck: none, ever. Neither ended, nor timed, nor faulted."""
    return list(
        unit.scalars(
            select(table.c.id).where(
                table.c.state.not_in(ENDED),
                table.c.run_at.is_(None),
                table.c.fault_message.is_(None),
            )
        )
    )


RETRY_PATIENCE = 24 * 3600.0
"""Seconds for which an operation that was parked is retried, whatever its flow says."""


def retry(unit: Unit, operation_id: str) -> None:
    """Let a parked operation try again; raise `NotFound`, or `Conflict` when it is not parked."""
    _locked_parked(unit, operation_id)
    unit.execute(
        update(table)
        .where(table.c.id == operation_id)
        .values(
            state=State.RUNNABLE,
            run_at=NOW,
            attempt=table.c.attempt + 1,
            step_deadline=_begun(later(RETRY_PATIENCE)),
            deadline=_begun(later(RETRY_PATIENCE)),
            wakes=table.c.wakes + 1,
            fault_kind=None,
            fault_message=None,
            fault_details=None,
        )
    )


def _begun(moment: Any) -> Any:
    """Return `moment` for an operation that was begun: it is told by having a deadline."""
    return case((table.c.deadline.is_not(None), moment))


def abandon(unit: Unit, operation_id: str) -> None:
    """End a parked operation as it is; what it made stays, in the ledger, for a delete."""
    _locked_parked(unit, operation_id)
    journal.end(unit, operation_id, State.ABANDONED, None)


def _locked_parked(unit: Unit, operation_id: str) -> None:
    state = unit.scalar(select(table.c.state).where(table.c.id == operation_id).with_for_update())
    if state is None:
        raise errors.NotFound(f"Operation {operation_id} cannot be found.")
    if state != State.PARKED:
        raise errors.Conflict(f"Operation {operation_id} is {state}: only a parked one can be.")


def _steps(unit: Unit, ids: list[str]) -> dict[str, tuple[StepView, ...]]:
    found: dict[str, tuple[StepView, ...]] = {}
    if ids:
        rows = unit.execute(
            select(operation_steps)
            .where(operation_steps.c.operation_id.in_(ids))
            .order_by(operation_steps.c.operation_id, operation_steps.c.n)
        )
        for row in rows:
            step = StepView(
                row.name,
                row.state,
                row.attempts,
                row.started_at,
                row.finished_at,
                row.message or "",
            )
            found[row.operation_id] = (*found.get(row.operation_id, ()), step)
    return found


def _work(unit: Unit, rows: Sequence[Any]) -> dict[str, Progress]:
    """Return what guests say of the long commands of those operations that go on."""
    going = {row.id: row.instance_id for row in rows if row.state == State.RUNNABLE}
    if not going:
        return {}
    said = unit.execute(
        select(guest_health.c.progress).where(
            guest_health.c.instance_id.in_(set(going.values())), guest_health.c.progress != "{}"
        )
    )
    progress = {
        command.partition(".")[0]: codec.load(Progress, one)
        for (document,) in said
        for command, one in json.loads(document).items()
    }
    return {id_: one for id_, one in progress.items() if id_ in going}


def _view(row: Any, steps: tuple[StepView, ...], work: Progress | None = None) -> OperationView:
    return OperationView(
        id=row.id,
        kind=row.kind,
        project_id=row.project_id,
        user_id=row.user_id,
        request_id=row.request_id,
        instance_id=row.instance_id,
        state=row.state,
        phase=row.phase,
        attempt=row.attempt,
        fault=journal.fault_of(row),
        superseded_by=row.superseded_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
        run_at=row.run_at,
        owner=row.owner,
        steps=steps,
        work=work,
    )
