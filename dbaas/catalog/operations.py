"""Operations: accepted by the API in one transaction, claimed by task managers, answered."""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import mysql

from dbaas.catalog import journal
from dbaas.catalog.moments import DAY, NOW, later, later_by
from dbaas.catalog.tables import instance_locks
from dbaas.catalog.tables import operation_steps as steps_table
from dbaas.catalog.tables import operations as table
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import codec, errors
from dbaas.contract.operations import (
    ENDED,
    Claim,
    Fault,
    State,
)


@dataclass(frozen=True)
class Request:
    """An operation to be: `body` is a dataclass of `contract.requests`."""

    kind: str
    instance_id: str
    project_id: str
    user_id: str
    request_id: str
    body: object
    client_ip: str = ""
    """From where it was asked for."""
    locks: tuple[str, ...] = ()
    """The instances that it changes; none for what may run beside everything."""
    supersede: bool = False
    """Whether it stops what holds the locks now, rather than being refused."""
    in_turn: bool = False
    """Whether it waits for one of its kind that goes on for the instance; who asks has that locked.
    """


# Accepting: in the API's transaction


def accept(unit: Unit, request: Request, sealer: Sealer) -> str:
    """Write the operation and take its locks; return its id.

    Raises `Busy` when one of the instances is locked and `request` does not supersede, or would
    have to supersede several operations: it waits for the end of one.
    """
    operation_id = str(uuid.uuid4())
    holders = _take_locks(unit, request, operation_id)
    before = holders or (_going_on(unit, request) if request.in_turn else [])
    unit.execute(
        insert(table).values(
            id=operation_id,
            kind=request.kind,
            project_id=request.project_id,
            user_id=request.user_id,
            request_id=request.request_id,
            client_ip=request.client_ip,
            instance_id=request.instance_id,
            state=State.RUNNABLE,
            request=json.dumps(codec.dump(request.body, sealer.hide)),
            run_at=NOW,
            after_id=before[0] if before else None,
        )
    )
    if holders:
        unit.execute(
            update(table)
            .where(table.c.id.in_(holders), table.c.state.in_((State.RUNNABLE, State.PARKED)))
            .values(
                superseded_by=operation_id,
                state=State.RUNNABLE,
                run_at=NOW,
                wakes=table.c.wakes + 1,
            )
        )
    return operation_id


def _take_locks(unit: Unit, request: Request, operation_id: str) -> list[str]:
    """Lock in the order of ids; return the operation that held one of the locks before, if any."""
    holders: list[str] = []
    for instance_id in sorted(request.locks):
        # Two at once: the second one waits here for the first, and finds its lock.
        unit.execute(
            mysql.insert(instance_locks)
            .values(instance_id=instance_id, operation_id=operation_id)
            .on_duplicate_key_update(operation_id=instance_locks.c.operation_id)
        )
        holder: str = unit.execute(
            select(instance_locks.c.operation_id)
            .where(instance_locks.c.instance_id == instance_id)
            .with_for_update()
        ).scalar_one()
        if holder == operation_id:
            continue
        if not request.supersede or holders not in ([], [holder]):
            raise errors.Busy(
                f"Operation {holder} is at {instance_id}: try again when it has ended."
            )
        unit.execute(
            update(instance_locks)
            .where(instance_locks.c.instance_id == instance_id)
            .values(operation_id=operation_id)
        )
        if holder not in holders:
            holders.append(holder)
    return holders


def _going_on(unit: Unit, request: Request) -> list[str]:
    """Return the last of its kind that goes on for the instance, if any."""
    query = select(table.c.id).where(
        table.c.instance_id == request.instance_id,
        table.c.kind == request.kind,
        table.c.state == State.RUNNABLE,
    )
    return list(unit.scalars(query.order_by(table.c.created_at.desc()).limit(1)))


# Claiming: by a task manager


def claim(unit: Unit, owner: str, lease: float, limit: int) -> list[Claim]:
    """Claim up to `limit` operations whose time has come; `lease` in seconds."""
    return _claim(unit, owner, lease, _CLAIMABLE, {"limit": limit})


def claim_one(unit: Unit, owner: str, lease: float, operation_id: str) -> list[Claim]:
    """Claim this operation if its time has come: what a wake asks for."""
    return _claim(unit, owner, lease, _CLAIMABLE_ONE, {"wanted": operation_id})


# Made once: to build a statement costs more than to run it.
_DUE = (
    select(table.c.id, table.c.epoch, table.c.lease_until)
    .where(
        table.c.state == State.RUNNABLE.value,
        table.c.run_at <= NOW,
        table.c.lease_until.is_(None) | (table.c.lease_until < NOW),
    )
    .with_for_update(skip_locked=True)
)
_CLAIMABLE = _DUE.order_by(table.c.run_at).limit(bindparam("limit"))
_CLAIMABLE_ONE = _DUE.where(table.c.id == bindparam("wanted"))
_TAKE = (
    update(table)
    .where(table.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        owner=bindparam("me"),
        epoch=table.c.epoch + 1,
        lease_until=later_by(bindparam("length")),
    )
)


def _claim(
    unit: Unit, owner: str, lease: float, query: Any, values: Mapping[str, Any]
) -> list[Claim]:
    rows = unit.execute(query, values).all()
    if rows:
        ids = [row.id for row in rows]
        unit.execute(_TAKE, {"ids": ids, "me": owner, "length": int(lease * 1e6)})
    return [Claim(row.id, row.epoch + 1, row.lease_until is not None) for row in rows]


def renew(unit: Unit, claims: Iterable[Claim], lease: float) -> set[str]:
    """Prolong the leases of `claims`; return the ids of those that are still held."""
    held = set()
    for one in sorted(claims, key=lambda item: item.operation_id):
        done = unit.execute(
            update(table)
            .where(table.c.id == one.operation_id, table.c.epoch == one.epoch, _leased())
            .values(lease_until=later(lease))
        )
        if done.rowcount:
            held.add(one.operation_id)
    return held


def _leased() -> Any:
    return table.c.lease_until.is_not(None)


def running(unit: Unit, instance_id: str) -> str | None:
    """Return the operation that has the instance's lock, if any."""
    found: str | None = unit.scalar(
        select(instance_locks.c.operation_id).where(instance_locks.c.instance_id == instance_id)
    )
    return found


# Answers: of guests, for whoever waits for them


def keep_answer(unit: Unit, operation_id: str, answer: str) -> None:
    """Keep what a guest answered: JSON, its secrets sealed."""
    unit.execute(update(table).where(table.c.id == operation_id).values(answer=answer))


@dataclass(frozen=True)
class Outcome:
    """How an operation that somebody waits for has ended; `answer` as JSON, its secrets sealed."""

    state: State
    answer: Any
    fault: Fault | None


def outcome(unit: Unit, operation_id: str) -> Outcome | None:
    """Return how the operation has ended; None while it has not."""
    row = unit.execute(
        select(
            table.c.state,
            table.c.answer,
            table.c.fault_kind,
            table.c.fault_message,
            table.c.fault_details,
        ).where(table.c.id == operation_id)
    ).one()
    if row.state not in ENDED:
        return None
    answer = None if row.answer is None else json.loads(row.answer)
    return Outcome(State(row.state), answer, journal.fault_of(row))


def wipe_answers(unit: Unit, age: float = 60.0) -> int:
    """Forget the answers of operations that ended `age` seconds ago; return how many.

    Only those are looked at that ended within a day: there may be millions.
    """
    wiped = unit.execute(
        update(table)
        .where(
            table.c.answer.is_not(None),
            table.c.finished_at.between(later(-DAY), later(-age)),
        )
        .values(answer=None)
    )
    return int(wiped.rowcount)


def wipe_answer(unit: Unit, operation_id: str) -> None:
    """Forget an answer that was given to whom it is for."""
    unit.execute(update(table).where(table.c.id == operation_id).values(answer=None))


# Forgetting: what ended long ago


def forget(unit: Unit, age: float, limit: int = 1000) -> int:
    """Delete up to `limit` operations that ended `age` seconds ago, with their steps; return how
    many."""
    query = select(table.c.id).where(table.c.finished_at < later(-age))
    ids = list(unit.scalars(query.order_by(table.c.finished_at).limit(limit)))
    unit.execute(delete(steps_table).where(steps_table.c.operation_id.in_(ids)))
    unit.execute(delete(table).where(table.c.id.in_(ids)))
    return len(ids)
