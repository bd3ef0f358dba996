"""Schedules of backups: their rows, their times, and what is done when one has come.

Whoever takes a schedule whose time has come has its row locked, and accepts the backup in the same
transaction that writes down the next time: so each run is had once, whoever dies meanwhile.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from dbaas.catalog import backup_orders, backups, instances, tables
from dbaas.catalog.backup_orders import Asker, Means, Wanted
from dbaas.catalog.moments import DAY, NOW, later, seconds_since
from dbaas.catalog.retention import Kept, Rule, surplus, tops
from dbaas.catalog.unit import Unit, part
from dbaas.common import crontab
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.backups import RUNNING, USABLE, BackupStatus

_table = tables.backup_schedules
_backups = tables.backups

REST = 3600.0
"""Seconds after which it is tried again to delete a backup that could not be deleted."""
BATCH = 100
"""Schedules whose backups are looked at in one transaction."""
TRIALS = 20
"""Backups that are verified at once, of those that wait: a server is made for each."""
AGAIN = timedelta(seconds=60)
"""After which a busy instance is tried again."""


@dataclass(frozen=True)
class Schedule:
    """A row; moments are UTC without zone."""

    id: str
    project_id: str
    user_id: str
    instance_id: str
    name: str
    cron: str
    full_cron: str
    timezone: str
    keep_count: int | None
    keep_days: int | None
    verify: bool
    storage: str
    container: str
    enabled: bool
    next_run_at: datetime | None
    try_at: datetime | None
    last_run_at: datetime | None
    last_backup_id: str | None
    last_fault: str | None
    kept_at: datetime | None
    created_at: datetime
    updated_at: datetime


def check(cron: str, full_cron: str, timezone: str) -> None:
    """Raise `Invalid` naming what of them cannot be."""
    crontab.check(cron, timezone)
    if full_cron:
        crontab.check(full_cron, timezone, "full_cron")


def add(unit: Unit, schedule_id: str, values: dict[str, Any]) -> None:
    """Write a schedule; its first run is the next that comes."""
    unit.execute(insert(_table).values(id=schedule_id, **values))
    _set_next(unit, show(unit, schedule_id, None), _now(unit))


def change(unit: Unit, schedule_id: str, project_id: str | None, values: dict[str, Any]) -> None:
    """Change some of it; with other times, missed runs of the former are not caught up."""
    show(unit, schedule_id, project_id)
    unit.execute(update(_table).where(_table.c.id == schedule_id).values(updated_at=NOW, **values))
    if not values.keys().isdisjoint(("cron", "timezone", "enabled")):
        _set_next(unit, show(unit, schedule_id, None), _now(unit))


def remove(unit: Unit, schedule_id: str, project_id: str | None) -> None:
    """Forget it; its backups stay. Raise `NotFound`."""
    show(unit, schedule_id, project_id)
    unit.execute(delete(_table).where(_table.c.id == schedule_id))


def show(unit: Unit, schedule_id: str, project_id: str | None) -> Schedule:
    """Return one; raise `NotFound` if it is not there, or not of this project."""
    row = unit.execute(select(_table).where(_table.c.id == schedule_id)).one_or_none()
    if row is None or project_id not in (None, row.project_id):
        raise errors.NotFound(f"Backup schedule {schedule_id} cannot be found.")
    return _schedule(row)


def page(
    unit: Unit, project_id: str, marker: str, limit: int, instance_id: str | None = None
) -> list[Schedule]:
    """Return the project's schedules whose ids follow `marker`, in the order of ids."""
    query = (
        select(_table)
        .where(_table.c.project_id == project_id, _table.c.id > marker)
        .order_by(_table.c.id)
        .limit(limit)
    )
    if instance_id is not None:
        query = query.where(_table.c.instance_id == instance_id)
    return [_schedule(row) for row in unit.execute(query)]


# When the time has come


@dataclass(frozen=True)
class Run:
    """What became of a schedule whose time had come; without an operation: nothing yet, or ever."""

    schedule_id: str
    operation_id: str | None = None


def run_one(unit: Unit, means: Means) -> Run | None:
    """Do what one due schedule asks for; None where none is due that nobody else is at."""
    row = unit.execute(
        select(_table)
        .where(_table.c.enabled, _table.c.try_at <= NOW)
        .order_by(_table.c.try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    schedule, now = _schedule(row), _now(unit)
    try:
        instances.lock(unit, schedule.instance_id)
    except errors.NotFound:
        unit.execute(delete(_table).where(_table.c.id == schedule.id))
        return Run(schedule.id)
    if not crontab.is_known(schedule.timezone):  # the others are not to wait for this one
        why = f"A host of the service does not know the time zone {schedule.timezone}."
        _try_again(unit, schedule, now, why)
        return Run(schedule.id)
    try:
        with part(unit):
            wanted = _wanted(unit, schedule, now)
            made = backup_orders.make(unit, wanted, _asker(schedule), means)
    except errors.Busy as error:
        _put_off(unit, schedule, now, error.text)
        return Run(schedule.id)
    except errors.Unavailable:
        raise
    except errors.Error as error:
        _set_next(unit, schedule, now, last_fault=error.text)
        return Run(schedule.id)
    _set_next(
        unit,
        schedule,
        now,
        last_run_at=NOW,
        last_backup_id=made.backup_id,
        last_fault=None,
    )
    return Run(schedule.id, made.operation_id)


def _wanted(unit: Unit, schedule: Schedule, now: datetime) -> Wanted:
    """Return the backup of this run, which also stands for those that were missed before it.

    It is a full one if the time for such came since the last full one that did not fail.
    """
    full_cron, due = schedule.full_cron, schedule.next_run_at or now
    last = _last_full(unit, schedule) or schedule.created_at
    full = not full_cron or crontab.comes_within(full_cron, schedule.timezone, last, now)
    return Wanted(
        name=f"{schedule.name} {due:%Y-%m-%d %H:%M}"[:255],
        instance_id=schedule.instance_id,
        incremental=not full,
        storage=schedule.storage,
        container=schedule.container,
        schedule_id=schedule.id,
    )


def _last_full(unit: Unit, schedule: Schedule) -> datetime | None:
    """Return when the last full backup of a schedule began that did not fail."""
    found: datetime | None = unit.scalar(
        select(func.max(_backups.c.created_at)).where(
            _backups.c.schedule_id == schedule.id,
            _backups.c.alive,
            _backups.c.parent_id.is_(None),
            _backups.c.status != BackupStatus.FAILED,
        )
    )
    return found


def _asker(schedule: Schedule) -> Asker:
    return Asker(schedule.project_id, schedule.user_id, f"req-{schedule.id}")


def _put_off(unit: Unit, schedule: Schedule, now: datetime, why: str) -> None:
    """Try again soon, but not when the next run has come by then: this one is given up then."""
    following = crontab.next_after(schedule.cron, schedule.timezone, now)
    if now + AGAIN >= following:
        _set_next(unit, schedule, now, last_fault=f"The run was given up: {why}")
    else:
        _try_again(unit, schedule, now, why)


def _try_again(unit: Unit, schedule: Schedule, now: datetime, why: str) -> None:
    unit.execute(
        update(_table).where(_table.c.id == schedule.id).values(try_at=now + AGAIN, last_fault=why)
    )


def _set_next(unit: Unit, schedule: Schedule, now: datetime, **values: Any) -> None:
    following = None
    if schedule.enabled:
        following = crontab.next_after(schedule.cron, schedule.timezone, now)
    unit.execute(
        update(_table)
        .where(_table.c.id == schedule.id)
        .values(next_run_at=following, try_at=following, **values)
    )


def _now(unit: Unit) -> datetime:
    now: datetime = unit.execute(select(NOW)).scalar_one()
    return now


# What becomes of its backups


def keep_rules(unit: Unit, sealer: Sealer) -> None:
    """Ask for the deletion of those backups that their schedules do not keep any longer.

    It looks at some schedules, those first at which nobody looked for longest.
    """
    rules = (
        select(_table)
        .where(_table.c.keep_count.is_not(None) | _table.c.keep_days.is_not(None))
        .order_by(_table.c.kept_at)
        .limit(BATCH)
    )
    looked_at = [_schedule(row) for row in unit.execute(rules)]
    ids = [schedule.id for schedule in looked_at]
    unit.execute(update(_table).where(_table.c.id.in_(ids)).values(kept_at=NOW))
    for schedule in looked_at:
        here = _kept(unit, schedule)
        going = surplus(here, Rule(schedule.keep_count, schedule.keep_days))
        for backup_id in tops(going, here):
            try:
                with part(unit):
                    backup_orders.delete(unit, backup_id, _asker(schedule), sealer)
            except (errors.Busy, errors.NotFound):
                continue  # it is read, or went meanwhile: there is another time


def _kept(unit: Unit, schedule: Schedule) -> Sequence[Kept]:
    """Return all backups of its instance: others may build on its own."""
    rows = unit.execute(
        select(
            _backups.c.id,
            _backups.c.parent_id,
            _backups.c.status,
            _backups.c.schedule_id,
            seconds_since(_backups.c.created_at).label("age"),
        ).where(
            _backups.c.instance_id == schedule.instance_id,
            _backups.c.alive,
            ~_backups.c.deleting,
            # What could not be deleted just now is left alone for a while.
            (_backups.c.status != BackupStatus.DELETE_FAILED)
            | (_backups.c.updated_at < later(-REST)),
        )
    )
    return [
        Kept(
            id=row.id,
            parent_id=row.parent_id,
            age=float(row.age) / DAY,
            usable=BackupStatus(row.status) in USABLE,
            over=BackupStatus(row.status) not in RUNNING,
            ours=row.schedule_id == schedule.id,
        )
        for row in rows
    ]


def verify_new(unit: Unit, sealer: Sealer) -> None:
    """Ask for the verification of those backups whose schedules want it, once each."""
    wanted = (
        select(_backups.c.id)
        .select_from(_backups.join(_table, _table.c.id == _backups.c.schedule_id))
        .where(
            _table.c.verify,
            _backups.c.alive,
            ~_backups.c.deleting,
            _backups.c.status == BackupStatus.COMPLETED,
            _backups.c.verification.is_(None),
        )
        .order_by(_backups.c.created_at)
        .limit(TRIALS)
    )
    for backup_id in unit.scalars(wanted).all():
        with suppress(errors.Busy, errors.Conflict, errors.NotFound), part(unit):
            _verify(unit, backup_id, sealer)


def _verify(unit: Unit, backup_id: str, sealer: Sealer) -> None:
    """Ask for it once: it is noted that it was, whatever becomes of that."""
    if backups.readers(unit, [backup_id]):
        return  # somebody is at it, or a restore that proves as much
    backup = backups.show(unit, backup_id, None)
    source = instances.show(unit, backup.instance_id or "", None, deleted=True)
    networks = [item["network"] for item in source.addresses if item.get("network")]
    network = networks[0] if networks else ""
    scratch = backup_orders.Scratch(
        source.flavor_id, source.flavor_ram_mib, network, source.volume_gib
    )
    chain = backups.chain(unit, backup_id)
    try:
        backup_orders.verify(unit, chain, scratch, Asker(None, backup.user_id), sealer)
    except errors.OverQuota as error:
        backups.verified(unit, backup_id, backups.untried(error.text))
    else:
        backups.verified(unit, backup_id, backups.TRYING)


def _schedule(row: Any) -> Schedule:
    values = dict(row._mapping)  # noqa: SLF001 # SQLAlchemy's name for a public thing
    return Schedule(**values | {"enabled": bool(row.enabled), "verify": bool(row.verify)})
