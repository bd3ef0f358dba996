"""What of an archive's stream is needed: all that a backup can be rolled forward by.

A backup knows how far its stream was stored before the engine was read: what is in the objects
before that one, it has itself. Where that is not known, it needs them all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy import and_, or_, select, text

from dbaas.catalog import tables
from dbaas.catalog.archives import StreamRecord
from dbaas.catalog.records import Reached
from dbaas.catalog.unit import Unit
from dbaas.contract.backups import RUNNING, USABLE

_backups = tables.backups


@dataclass(frozen=True)
class Base:
    """A backup that can be restored, or is being made: `taken` is None then.

    `taken`: the moment whose data it has, in seconds since 1970, by the instance's clock.
    """

    reached: Reached | None
    taken: float | None


def bases(unit: Unit, instance_id: str, *, ever: bool = False) -> tuple[Base, ...]:
    """Return all of an instance's, which may be deleted; `ever`: those that were deleted, too."""
    there = and_(_backups.c.alive == text("1"), _backups.c.status.in_((*RUNNING, *USABLE)))
    which = or_(there, _backups.c.taken_at.is_not(None)) if ever else there
    rows = unit.execute(
        select(_backups.c.archive_stream, _backups.c.archive_sequence, _backups.c.taken_at).where(
            _backups.c.instance_id == instance_id,
            which,
        )
    )
    return tuple(
        Base(
            None
            if row.archive_stream is None
            else Reached(row.archive_stream, row.archive_sequence),
            None if row.taken_at is None else row.taken_at.replace(tzinfo=UTC).timestamp(),
        )
        for row in rows
    )


def needed_from(stream: StreamRecord, bases: Iterable[Base]) -> int | None:
    """Return the first object of the stream that somebody needs; None: nobody needs any.

    One that is live is needed by the backup that may begin now.
    """
    wanted = [first_object(stream, base.reached) for base in bases if _may_go_on(stream, base)]
    if stream.live:
        told = 1 if stream.report is None else stream.report.sequence
        wanted.append(max(stream.needed_from, told))
    return min(wanted, default=None)


def first_object(stream: StreamRecord, reached: Reached | None) -> int:
    """Return from which object on a backup needs the stream: the last one before it began.

    What is gone already went before it began: else it would have been needed.
    """
    if reached is None or reached.stream != stream.id:
        return stream.needed_from
    return max(stream.needed_from, reached.sequence)


def _may_go_on(stream: StreamRecord, base: Base) -> bool:
    """Return whether the stream goes on from this backup: for all that is known, it does."""
    known = base.taken is not None and stream.report is not None and stream.report.since > 0
    return not known or goes_on_from(stream, base)


def goes_on_from(stream: StreamRecord, base: Base) -> bool:
    """Return whether the stream has what was logged after the backup was taken."""
    report = stream.report
    if report is None or base.taken is None or not 0 < report.since <= base.taken:
        return False
    return stream.live or base.taken <= report.until
