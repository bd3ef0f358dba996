"""Backups: the rows that tenants see, what builds on what, and what of them is to be swept.

Backups outlive the instance that they were made of. Rows are locked parents before children: who
adds a child, reads a chain or deletes one has locked what it builds on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.mysql import insert as upsert

from dbaas.catalog import quotas, tables
from dbaas.catalog.moments import NOW, later
from dbaas.catalog.records import BackupRecord, LockedBackup, NewBackup, Reached, Registration
from dbaas.catalog.unit import Unit
from dbaas.contract import backups as lives
from dbaas.contract import codec, errors
from dbaas.contract.backups import RUNNING, USABLE, BackupEvent, BackupStatus
from dbaas.contract.messages import Progress, StoredBackup
from dbaas.contract.operations import ENDED, State

_backups = tables.backups
_readers = tables.backup_readers
_operations = tables.operations
_locks = tables.instance_locks
_versions = tables.datastore_versions
_stores = tables.datastores
_health = tables.guest_health

TRYING = {"restorable": None, "message": "It is being tried."}
"""The verification of a backup that its schedule has verified, until that is over."""
SWEEP = "sweep_backup"
REST = 3600.0
"""Seconds after which it is tried again to sweep a backup that could not be swept."""

_MOST = (1 << 63) - 1
"""What the catalog can keep of a size."""

_COLUMNS = (
    _backups.c.id,
    _backups.c.project_id,
    _backups.c.user_id,
    _backups.c.name,
    _backups.c.description,
    _backups.c.instance_id,
    _backups.c.parent_id,
    _backups.c.status,
    _stores.c.id.label("datastore_id"),
    _stores.c.name.label("datastore"),
    _versions.c.id.label("version_id"),
    _versions.c.name.label("version_name"),
    _versions.c.version,
    _versions.c.manager.label("engine"),
    _backups.c.strategy,
    _backups.c.storage,
    _backups.c.account,
    _backups.c.container,
    _backups.c.object_name,
    _backups.c.location,
    _backups.c.data_key,
    _backups.c.manifest_sha256,
    _backups.c.stored_size,
    _backups.c.data_size,
    _backups.c.restored_size,
    _backups.c.position,
    _backups.c.engine_version,
    _backups.c.taken_at,
    _backups.c.archive_stream,
    _backups.c.archive_sequence,
    _backups.c.seconds,
    _backups.c.schedule_id,
    _backups.c.operation_id,
    _backups.c.deleting,
    _backups.c.fault_message.label("fault"),
    _backups.c.verified_at,
    _backups.c.verification,
    _backups.c.created_at,
    _backups.c.updated_at,
    _backups.c.deleted_at,
    # Only while it is running: who reads a list reads no more of heartbeats than it shows.
    case((_backups.c.status.in_(RUNNING), _health.c.progress)).label("progress"),
)
_NAMES = tuple(column.name for column in _COLUMNS)


def _read(begin: FromClause) -> Select[Any]:
    """Read backups with all that is shown of them, in the order in which `begin` has them."""
    joined = (
        begin.join(_versions, _versions.c.id == _backups.c.datastore_version_id)
        .join(_stores, _stores.c.id == _versions.c.datastore_id)
        .outerjoin(_health, _health.c.instance_id == _backups.c.instance_id)
    )
    # Left alone, the server may begin with the few datastores.
    return select(*_COLUMNS).select_from(joined).prefix_with("STRAIGHT_JOIN")


_EVER = _read(_backups)
_THERE = _backups.c.alive == literal_column("1")
_ONE_EVER = _EVER.where(_backups.c.id == bindparam("id"))
_ONE = _ONE_EVER.where(_THERE)
_LAST_CHANGED = (_backups.c.updated_at.desc(), _backups.c.id.desc())


# Reading


def show(
    unit: Unit, backup_id: str, project_id: str | None, *, deleted: bool = False
) -> BackupRecord:
    """Return one backup; raise `NotFound` if it is not there, or not of this project.

    `deleted`: whether one that was deleted is there, too.
    """
    row = unit.execute(_ONE_EVER if deleted else _ONE, {"id": backup_id}).one_or_none()
    if row is None or project_id not in (None, row.project_id):
        raise _not_found(backup_id)
    return _record(row)


def page(
    unit: Unit,
    project_id: str | None,
    offset: int,
    limit: int,
    *,
    instance_id: str | None = None,
    datastore_id: str | None = None,
) -> list[BackupRecord]:
    """Return backups of a project, or of all, those that changed last first."""
    ids = select(_backups.c.id).where(_THERE).order_by(*_LAST_CHANGED).offset(offset).limit(limit)
    if project_id is not None:
        ids = ids.where(_backups.c.project_id == project_id)
    if instance_id is not None:
        ids = ids.where(_backups.c.instance_id == instance_id)
    if datastore_id is not None:
        # Asked for first: joined, the server sorts all that a project has.
        versions = select(_versions.c.id).where(_versions.c.datastore_id == datastore_id)
        ids = ids.where(_backups.c.datastore_version_id.in_(list(unit.scalars(versions))))
    # The page first: left alone, the server may join all that a project has, to show twenty.
    chosen = ids.subquery("chosen")
    query = _read(chosen.join(_backups, _backups.c.id == chosen.c.id)).order_by(*_LAST_CHANGED)
    return [_record(row) for row in unit.execute(query)]


def count(unit: Unit, project_id: str) -> int:
    """Return how many backups the project has."""
    number = select(func.count()).where(_backups.c.project_id == project_id, _THERE)
    return int(unit.execute(number).scalar_one())


def latest(unit: Unit, instance_id: str, schedule_id: str | None = None) -> BackupRecord | None:
    """Return the last backup of the instance on which another one can build, if there is any.

    `schedule_id`: only of that schedule's: what others made, others may delete.
    """
    ours = [] if schedule_id is None else [_backups.c.schedule_id == schedule_id]
    row = unit.execute(
        _EVER.where(
            _backups.c.instance_id == instance_id,
            _THERE,
            _backups.c.status == BackupStatus.COMPLETED,
            ~_backups.c.deleting,
            *ours,
        )
        # They are made one after the other: the one that was asked for last is the newest.
        .order_by(_backups.c.created_at.desc(), _backups.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _record(row)


def chain(unit: Unit, backup_id: str) -> tuple[BackupRecord, ...]:
    """Return the backup with all that it builds on, the full one first.

    Raises `NotFound`, and `Conflict` unless every one of them can be restored.
    """
    parts = [_record(row) for row in unit.execute(_CHAIN, {"id": backup_id})]
    if not parts or parts[0].deleted_at is not None:
        raise _not_found(backup_id)
    for part in parts:
        _check_usable(part.id, part.status, part.deleting)
    return tuple(reversed(parts))


def _chain() -> Select[Any]:
    above = (
        select(_backups.c.id, _backups.c.parent_id, literal(0).label("steps"))
        .where(_backups.c.id == bindparam("id"))
        .cte("above", recursive=True)
    )
    above = above.union_all(
        select(_backups.c.id, _backups.c.parent_id, above.c.steps + 1).where(
            _backups.c.id == above.c.parent_id
        )
    )
    return _read(above.join(_backups, _backups.c.id == above.c.id)).order_by(above.c.steps)


_CHAIN = _chain()


def descendants(unit: Unit, backup_id: str) -> tuple[str, ...]:
    """Return the backups that build on this one, each before those that it builds on."""
    return tuple(unit.scalars(_DESCENDANTS, {"id": backup_id}))


def _descendants() -> Select[Any]:
    below = (
        select(_backups.c.id, literal(1).label("steps"))
        .where(_backups.c.parent_id == bindparam("id"), _THERE)
        .cte("below", recursive=True)
    )
    below = below.union_all(
        select(_backups.c.id, below.c.steps + 1).where(_backups.c.parent_id == below.c.id, _THERE)
    )
    return select(below.c.id).order_by(below.c.steps.desc(), below.c.id)


_DESCENDANTS = _descendants()


# Accepting: in the transactions of requests, and of schedules


def add(unit: Unit, new: NewBackup) -> None:
    """Write the row of a backup that is to be made."""
    unit.execute(insert(_backups).values(**_new(new), status=BackupStatus.NEW, account=""))


def register(unit: Unit, new: NewBackup, made: Registration) -> None:
    """Write the row of a backup that was made elsewhere."""
    unit.execute(
        insert(_backups).values(
            **_new(new),
            status=BackupStatus.RESTORED,
            account=made.account,
            object_name=made.object_name,
            location=made.location,
            stored_size=_size(made.stored_size),
            data_size=None if made.data_size is None else _size(made.data_size),
            restored_size=_size(made.restored_size),
            data_key=None if made.data_key is None else json.dumps(made.data_key),
            manifest_sha256=made.manifest_sha256,
            position=None if made.position is None else json.dumps(dict(made.position)),
            engine_version=made.engine_version[:64],
            taken_at=None if made.taken_at is None else _moment(made.taken_at),
        )
    )


def _new(new: NewBackup) -> dict[str, Any]:
    return {
        "id": new.id,
        "project_id": new.project_id,
        "user_id": new.user_id,
        "name": new.name,
        "description": new.description,
        "instance_id": new.instance_id,
        "parent_id": new.parent_id,
        "datastore_version_id": new.datastore_version_id,
        "strategy": new.strategy,
        "storage": new.storage,
        "container": new.container,
        "schedule_id": new.schedule_id,
        "operation_id": new.operation_id,
    }


def lock(unit: Unit, backup_id: str, project_id: str | None = None) -> LockedBackup:
    """Lock the row until the transaction ends; raise `NotFound` as `show` does."""
    found = _locked(unit, [backup_id])
    if not found or project_id not in (None, found[0].project_id):
        raise _not_found(backup_id)
    return found[0]


def lock_parent(unit: Unit, backup_id: str) -> None:
    """Have the backup stay until a child of it is written; raise `Conflict` unless it can be read
    now, `NotFound` when it is gone."""
    parent = lock(unit, backup_id)
    _check_usable(parent.id, parent.status, parent.deleting)


def lock_with_descendants(unit: Unit, backup_id: str, project_id: str | None) -> list[LockedBackup]:
    """Lock the backup and all that build on it, and let none be added; those come first.

    Raises `NotFound` as `show` does.
    """
    target = lock(unit, backup_id, project_id)
    locked: dict[str, LockedBackup] = {target.id: target}
    ids = descendants(unit, backup_id)
    # A child may be added until its parent is locked: look again until nothing new is there.
    while missing := [id_ for id_ in ids if id_ not in locked]:
        locked |= {one.id: one for one in _locked(unit, missing)}
        ids = descendants(unit, backup_id)
    return [*(locked[id_] for id_ in ids), target]


def deletion_asked(unit: Unit, backup_ids: Iterable[str], operation_id: str) -> None:
    """Note that this operation deletes them: none of them can be read or built on any more."""
    unit.execute(
        update(_backups)
        .where(_backups.c.id.in_(list(backup_ids)))
        .values(deleting=True, operation_id=operation_id, updated_at=NOW)
    )


def read_by(unit: Unit, backup_ids: Iterable[str], operation_id: str) -> None:
    """Note that this operation reads them: until it ends they are not deleted.

    Raises `Conflict` unless every one of them can be restored now.
    """
    ids = list(backup_ids)
    found = _locked(unit, ids)
    if len(found) != len(ids):
        raise errors.Conflict("A backup that is to be restored was deleted meanwhile.")
    for one in found:
        _check_usable(one.id, one.status, one.deleting)
    rows = [{"backup_id": id_, "operation_id": operation_id} for id_ in ids]
    statement = upsert(_readers).values(rows)
    unit.execute(statement.on_duplicate_key_update(operation_id=_readers.c.operation_id))


def readers(unit: Unit, backup_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the operations that read one of these and have not ended."""
    query = (
        select(_readers.c.operation_id)
        .distinct()
        .select_from(_readers.join(_operations, _operations.c.id == _readers.c.operation_id))
        .where(_readers.c.backup_id.in_(list(backup_ids)), _operations.c.state.not_in(ENDED))
        .order_by(_readers.c.operation_id)
    )
    return tuple(unit.scalars(query))


def _locked(unit: Unit, ids: Sequence[str]) -> list[LockedBackup]:
    rows = unit.execute(
        select(
            _backups.c.id,
            _backups.c.project_id,
            _backups.c.name,
            _backups.c.status,
            _backups.c.deleting,
            _backups.c.instance_id,
            _backups.c.parent_id,
            _backups.c.operation_id,
        )
        .where(_backups.c.id.in_(list(ids)), _THERE)
        .order_by(_backups.c.id)
        .with_for_update()
    )
    return [
        LockedBackup(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            status=BackupStatus(row.status),
            deleting=bool(row.deleting),
            instance_id=row.instance_id,
            parent_id=row.parent_id,
            operation_id=row.operation_id,
        )
        for row in rows
    ]


def _check_usable(backup_id: str, status: BackupStatus, deleting: bool) -> None:
    if deleting:
        raise errors.Conflict(f"Backup {backup_id} is being deleted.")
    if status not in USABLE:
        raise errors.Conflict(f"Backup {backup_id} is not complete: it is {status}.")


# What operations change: in the transactions that journal their steps


def move(unit: Unit, backup: LockedBackup, event: BackupEvent, **also: Any) -> BackupStatus:
    """Apply `event` to the status, and set what else it brings; raise `Busy` when it cannot be."""
    status = lives.after(backup.status, event)
    unit.execute(
        update(_backups)
        .where(_backups.c.id == backup.id)
        .values(status=status, updated_at=NOW, **also)
    )
    return status


def begin(
    unit: Unit,
    backup_id: str,
    sealed_key: Any,
    account: str,
    granted_seconds: float,
    reached: Reached | None = None,
) -> None:
    """Note under which key and for how long a guest may write it; `sealed_key` is sealed JSON.

    `reached`: how far its instance's archive is known to be, before the engine is read.
    """
    move(
        unit,
        lock(unit, backup_id),
        BackupEvent.BEGIN,
        data_key=json.dumps(sealed_key),
        account=account,
        granted_until=_granted(granted_seconds),
        archive_stream=None if reached is None else reached.stream,
        archive_sequence=None if reached is None else reached.sequence,
    )


def grant_extended(unit: Unit, backup_id: str, granted_seconds: float) -> None:
    """Note that a guest may write it for longer."""
    unit.execute(
        update(_backups)
        .where(_backups.c.id == backup_id)
        .values(granted_until=_granted(granted_seconds))
    )


def _granted(seconds: float) -> Any:
    until = later(seconds)
    return func.greatest(func.coalesce(_backups.c.granted_until, until), until)


def complete(
    unit: Unit, backup_id: str, stored: StoredBackup, manifest_sha256: str, location: str
) -> None:
    """Note what a guest stored, once the storage was seen to have it.

    Raises `Failed` for sizes and moments that cannot be: the guest says them.
    """
    move(
        unit,
        lock(unit, backup_id),
        BackupEvent.COMPLETE,
        stored_size=_size(sum(segment.size for segment in stored.segments)),
        data_size=_size(stored.data_size),
        restored_size=_size(stored.restored_size),
        position=json.dumps(dict(stored.position)),
        engine_version=stored.engine_version[:64],
        taken_at=_moment(stored.taken_at),
        seconds=stored.seconds,
        manifest_sha256=manifest_sha256,
        location=location,
    )


def _size(number: int) -> int:
    if not 0 <= number <= _MOST:
        raise errors.Failed(f"A backup cannot have {number} bytes.")
    return number


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise errors.Failed(f"A backup cannot be of the moment {seconds}.") from None


def failed(unit: Unit, backup_id: str, message: str) -> None:
    """Note why it cannot be made."""
    move(unit, lock(unit, backup_id), BackupEvent.FAIL, fault_message=message)


def operation_ended(unit: Unit, operation_id: str, message: str) -> None:
    """Note for its backups that this operation has ended otherwise than well.

    Its locks are those that it had: one that tried a backup has the lock of it.
    """
    _end(unit, operation_id, BackupEvent.FAIL, message, ~_backups.c.deleting)
    _end(unit, operation_id, BackupEvent.DELETE_FAIL, message, _backups.c.deleting)
    ids = list(
        unit.scalars(select(_locks.c.instance_id).where(_locks.c.operation_id == operation_id))
    )
    unit.execute(
        update(_backups)
        .where(_backups.c.id.in_(ids), _backups.c.verification == json.dumps(TRYING))
        .values(verification=json.dumps(untried(message)))
    )


def _end(unit: Unit, operation_id: str, event: BackupEvent, message: str, which: Any) -> None:
    before = [status for status, what in lives.MOVES if what is event]
    (status,) = {lives.after(one, event) for one in before}
    unit.execute(
        update(_backups)
        .where(_backups.c.operation_id == operation_id, _backups.c.status.in_(before), which)
        .values(status=status, deleting=False, fault_message=message, updated_at=NOW)
    )


def bury(unit: Unit, backup_id: str) -> None:
    """End the backup's life, wipe its key, and give back what it took of its project's quota; who
    read it is forgotten.

    What is left of its objects, or comes while a grant for them is good, is swept.
    """
    backup = lock(unit, backup_id)
    move(unit, backup, BackupEvent.DELETED, deleting=False, deleted_at=NOW, data_key=None)
    unit.execute(delete(_readers).where(_readers.c.backup_id == backup_id))
    quotas.release(unit, backup.project_id, {"backups": 1})


def verified(unit: Unit, backup_id: str, verification: Mapping[str, Any]) -> None:
    """Note what came of restoring it for a trial: `restorable` says whether it can be."""
    values: dict[str, Any] = {"verification": json.dumps(dict(verification))}
    if verification["restorable"]:
        values["verified_at"] = NOW
    unit.execute(update(_backups).where(_backups.c.id == backup_id).values(**values))


def untried(why: str) -> dict[str, Any]:
    """Return the verification of a backup of which it is not known whether it can be restored."""
    return {**TRYING, "message": f"It could not be tried: {why}"}


# Sweeping


def unswept(unit: Unit, limit: int) -> list[BackupRecord]:
    """Return backups of which objects may be left that nobody needs, and no operation is at.

    They failed or were deleted, and no grant for their objects is good any more. One that never
    began has none; those of one that was registered were nobody's to write. One that could not be
    swept just now is left alone for a while: others have their turn.
    """
    going = _operations.c.state.in_((State.RUNNABLE, State.PARKED))
    tried = and_(_operations.c.kind == SWEEP, _operations.c.finished_at > later(-REST))
    at_work = and_(_operations.c.id == _backups.c.operation_id, or_(going, tried))
    query = (
        _EVER.where(
            _backups.c.swept_at.is_(None),
            ~_backups.c.deleting,
            _backups.c.status.in_((BackupStatus.FAILED, BackupStatus.DELETED)),
            _backups.c.account != "",
            _backups.c.object_name == "",
            or_(_backups.c.granted_until.is_(None), _backups.c.granted_until < NOW),
            ~select(_operations.c.id).where(at_work).exists(),
        )
        .order_by(_backups.c.updated_at)
        .limit(limit)
    )
    return [_record(row) for row in unit.execute(query)]


def in_hand(unit: Unit, backup_id: str, operation_id: str) -> None:
    """Note that this operation sweeps it, unless another one deletes it meanwhile."""
    unit.execute(
        update(_backups)
        .where(_backups.c.id == backup_id, ~_backups.c.deleting)
        .values(operation_id=operation_id)
    )


def swept(unit: Unit, backup_id: str) -> None:
    """Note that nothing of its objects is left, and nothing can come."""
    unit.execute(update(_backups).where(_backups.c.id == backup_id).values(swept_at=NOW))


def _record(row: Any) -> BackupRecord:
    values = dict(zip(_NAMES, row, strict=True))
    values["status"] = BackupStatus(row.status)
    values["deleting"] = bool(row.deleting)
    for name in ("data_key", "position", "verification"):
        values[name] = None if values[name] is None else json.loads(values[name])
    stream, sequence = values.pop("archive_stream"), values.pop("archive_sequence")
    values["reached"] = None if stream is None else Reached(stream, sequence)
    values["progress"] = _progress(row.progress, row.operation_id)
    return BackupRecord(**values)


def _progress(said: str | None, operation_id: str | None) -> Progress | None:
    """Return what the guest said of the command of this operation; ids of commands begin so."""
    for command_id, one in json.loads(said or "{}").items():
        if command_id.startswith(f"{operation_id}."):
            return codec.load(Progress, one)
    return None


def _not_found(backup_id: str) -> errors.NotFound:
    return errors.NotFound(f"Backup {backup_id} cannot be found.")
