"""A gap in an archive gets a full backup behind it: without one no moment after it can be restored.

That one is due is written down with the stream that begins after the gap, until there is one.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from dbaas.catalog import archive_needs, archives, backup_orders, instances, tables
from dbaas.catalog.archive_needs import Base
from dbaas.catalog.archives import Due, StreamRecord
from dbaas.catalog.backup_orders import Asker, Means, Wanted
from dbaas.catalog.moments import NOW, later
from dbaas.catalog.unit import Unit, part
from dbaas.contract import errors
from dbaas.contract.backups import BackupStatus

_backups = tables.backups
_streams = tables.archives

BATCH = 20
"""Backups that are asked for at once: a storage that was away makes gaps in all archives."""
SOON = 60.0
"""Seconds after which one that has to wait is tried again."""
REST = 3600.0
"""Seconds after which it is looked at what became of one, and tried again if it failed."""


@dataclass(frozen=True)
class Delay:
    """A backup that has to wait."""

    instance_id: str
    why: str


def note_gap(unit: Unit, stream_id: str, broken: StreamRecord) -> None:
    """Have a backup made for a stream that follows a broken one, if that had one, or waited."""
    had = any(_is_of(broken, base) for base in archive_needs.bases(unit, broken.instance_id))
    if had or unit.scalar(select(_streams.c.base_due_at).where(_streams.c.id == broken.id)):
        _note(unit, stream_id, base_due_at=NOW)


def _is_of(stream: StreamRecord, base: Base) -> bool:
    """Return whether the stream goes on from it, or would have when it is made."""
    if base.taken is None:
        return base.reached is not None and base.reached.stream == stream.id
    return archive_needs.goes_on_from(stream, base)


def take(unit: Unit, means: Means) -> list[Delay]:
    """Ask for the backups that are due; return those that have to wait, each reason once."""
    return [delay for due in _due(unit) if (delay := _take(unit, due, means)) is not None]


_DUE = select(
    _streams.c.id, _streams.c.instance_id, _streams.c.project_id, _streams.c.user_id
).where(_streams.c.ended_at.is_(None), _streams.c.base_due_at <= NOW)


def _due(unit: Unit) -> Sequence[Due]:
    query = _DUE.order_by(_streams.c.base_due_at).limit(BATCH)
    return [Due(*row) for row in unit.execute(query)]


def _take(unit: Unit, due: Due, means: Means) -> Delay | None:
    """Ask for one under its instance's lock: nobody else asks for it meanwhile."""
    try:
        name = instances.lock(unit, due.instance_id).name
    except errors.NotFound:
        return None  # its stream ends with it
    stream = archives.show(unit, due.stream_id)
    if stream is None or unit.execute(_DUE.where(_streams.c.id == stream.id)).first() is None:
        return None
    known = archive_needs.bases(unit, due.instance_id, ever=True)
    if any(archive_needs.goes_on_from(stream, base) for base in known):
        _note(unit, stream.id, base_due_at=None, base_fault=None)
        return None
    report = stream.report
    if (
        report is None
        or not report.since
        or report.ended
        or any(one.taken is None for one in known)
    ):
        _note(unit, stream.id, base_due_at=later(SOON))
        return None
    wanted = _wanted(due, name)
    _let_failed_ones_go(unit, due, wanted, means)
    try:
        with part(unit):
            backup_orders.make(unit, wanted, _asker(due), means)
    except errors.Unavailable:
        raise
    except errors.Error as error:
        return _put_off(unit, due, error.text)
    _note(unit, stream.id, base_due_at=later(REST), base_fault=None)
    return None


def _let_failed_ones_go(unit: Unit, due: Due, wanted: Wanted, means: Means) -> None:
    """Leave one of those that failed, which says why: each takes of the project's quota, and in a
    storage's outage of days they would use it up."""
    failed = (
        select(_backups.c.id)
        .where(
            _backups.c.instance_id == due.instance_id,
            _backups.c.alive,
            ~_backups.c.deleting,
            _backups.c.status == BackupStatus.FAILED,
            _backups.c.name == wanted.name,
            _backups.c.description == wanted.description,
        )
        .order_by(_backups.c.created_at.desc())
        .offset(1)
        .limit(BATCH)
    )
    for backup_id in unit.scalars(failed).all():
        with suppress(errors.Busy, errors.NotFound), part(unit):
            backup_orders.delete(unit, backup_id, _asker(due), means.sealer)


def _wanted(due: Due, name: str) -> Wanted:
    return Wanted(
        name=f"{name[:240]}-after-gap",
        instance_id=due.instance_id,
        description="Taken by the service: the archive of the instance has a gap before it.",
    )


def _asker(due: Due) -> Asker:
    return Asker(due.project_id, due.user_id, f"req-{due.stream_id}")


def _put_off(unit: Unit, due: Due, why: str) -> Delay | None:
    told = unit.scalar(select(_streams.c.base_fault).where(_streams.c.id == due.stream_id))
    _note(unit, due.stream_id, base_due_at=later(SOON), base_fault=why)
    return None if told == why else Delay(due.instance_id, why)


def _note(unit: Unit, stream_id: str, **values: Any) -> None:
    unit.execute(update(_streams).where(_streams.c.id == stream_id).values(**values))
