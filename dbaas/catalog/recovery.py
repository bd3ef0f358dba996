"""To which moments an instance can be restored, and from what: backups, and the archive after them.

An archive's stream has no gap. So every moment can be gone back to that is after a backup which was
taken while the stream went on, and before the stream's end.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dbaas.catalog import archives, backups
from dbaas.catalog.archives import StreamRecord
from dbaas.catalog.records import BackupRecord
from dbaas.catalog.unit import Unit
from dbaas.contract import errors
from dbaas.contract.backups import USABLE

MOST = 1000
"""Backups of one instance that are looked at, those that changed last."""


@dataclass(frozen=True)
class Window:
    """All moments from one to the other, in seconds since 1970, by the instance's clock."""

    earliest: float
    latest: float


@dataclass(frozen=True)
class Recovery:
    """What can be done with what there is. `live`: the stream that goes on, if one does."""

    windows: tuple[Window, ...]
    live: StreamRecord | None


@dataclass(frozen=True)
class Choice:
    """What a moment is restored from."""

    backup_id: str
    stream: str


def of_instance(unit: Unit, instance_id: str, project_id: str | None) -> Recovery:
    """Return it for an instance, which may be deleted; nothing for another project's."""
    streams = _streams(unit, instance_id, project_id)
    return Recovery(
        windows(streams, backups.page(unit, project_id, 0, MOST, instance_id=instance_id)),
        next((stream for stream in streams if stream.live), None),
    )


def choose_of_instance(
    unit: Unit, instance_id: str, project_id: str | None, moment: float
) -> Choice:
    """Return the nearest backup before a moment, with the stream that goes on from it.

    Raise `Invalid`, naming what can be gone back to.
    """
    streams = _streams(unit, instance_id, project_id)
    known = backups.page(unit, project_id, 0, MOST, instance_id=instance_id)
    return choose(streams, known, moment, f"instance {instance_id}")


def choose_of_backup(unit: Unit, backup: BackupRecord, moment: float) -> Choice:
    """The same for one backup."""
    streams = _streams(unit, backup.instance_id, backup.project_id) if backup.instance_id else ()
    return choose(streams, [backup], moment, f"backup {backup.id}")


def _streams(unit: Unit, instance_id: str, project_id: str | None) -> Sequence[StreamRecord]:
    found = archives.of_instance(unit, instance_id)
    return [each for each in found if project_id in (None, each.project_id)]


def windows(streams: Iterable[StreamRecord], known: Sequence[BackupRecord]) -> tuple[Window, ...]:
    """Return what can be gone back to, in order of time."""
    found = []
    for stream in streams:
        taken = [moment for _, moment in _bases(stream, known)]
        if taken and stream.report:
            found.append(Window(min(taken), stream.report.until))
    return tuple(sorted(found, key=lambda window: window.earliest))


def choose(
    streams: Sequence[StreamRecord], known: Sequence[BackupRecord], moment: float, whose: str
) -> Choice:
    found = [
        (taken, Choice(backup.id, stream.id))
        for stream in streams
        for backup, taken in _bases(stream, known)
        if stream.report and taken <= moment <= stream.report.until
    ]
    if found:
        return max(found, key=lambda each: each[0])[1]
    possible = windows(streams, known)
    if not possible:
        raise errors.Invalid(
            f"There is no moment to which {whose} can be restored: that takes an archive that is on"
            " (action 'archive'), and a full backup taken since then."
        )
    told = ", and ".join(f"{_told(each.earliest, 1)} to {_told(each.latest)}" for each in possible)
    raise errors.Invalid(
        f"To {_told(moment)} {whose} cannot be restored: restorePoint['time'] can be from {told}."
    )


def _bases(
    stream: StreamRecord, known: Sequence[BackupRecord]
) -> Iterable[tuple[BackupRecord, float]]:
    """Yield the backups from which a stream goes on, with the moment whose data each has."""
    report = stream.report
    if report is None or not report.sequence:
        return
    for backup in known:
        if (
            backup.instance_id == stream.instance_id
            and backup.status in USABLE
            and not backup.deleting
            and backup.taken_at is not None
            and "binlog" in (backup.position or {})
        ):
            taken = backup.taken_at.replace(tzinfo=UTC).timestamp()
            if report.since <= taken <= report.until:
                yield backup, taken


def _told(moment: float, up: int = 0) -> str:
    """Return it as it may be asked for: to the second, `up`: the next one."""
    whole = math.ceil(moment) if up else math.floor(moment)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
