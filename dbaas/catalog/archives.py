"""Archives: the streams of what instances' engines log, and how far each of them is.

A stream that is live is what its instance is to do; one that has ended stays as long as a backup
can be rolled forward by it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, delete, exists, func, insert, or_, select, update

from dbaas.catalog import tables
from dbaas.catalog.moments import NOW, later, seconds_since
from dbaas.catalog.records import Reached
from dbaas.catalog.unit import Unit
from dbaas.contract import codec, errors
from dbaas.contract.messages import ArchiveReport
from dbaas.contract.operations import ENDED
from dbaas.contract.states import Status

_streams = tables.archives
_health = tables.guest_health
_backups = tables.backups
_readers = tables.backup_readers
_operations = tables.operations
_instances = tables.instances
_versions = tables.datastore_versions

LIVELY = 60.0
"""Seconds since a guest was heard, within which it is worth telling it something."""


@dataclass(frozen=True)
class StreamRecord:
    """`report`: what the guest said of it last, None where it said nothing yet.

    Objects before `needed_from` may be gone, those up to `pruned_to` are. `granted`: a guest may
    still write to it.
    """

    id: str
    instance_id: str
    project_id: str
    strategy: str
    storage: str
    account: str
    container: str
    data_key: Any
    live: bool
    report: ArchiveReport | None
    granted: bool = False
    needed_from: int = 1
    pruned_to: int = 0


_COLUMNS = (
    _streams.c.id,
    _streams.c.instance_id,
    _streams.c.project_id,
    _streams.c.strategy,
    _streams.c.storage,
    _streams.c.account,
    _streams.c.container,
    _streams.c.data_key,
    _streams.c.ended_at,
    _streams.c.report,
    (_streams.c.granted_until >= NOW).label("granted"),
    _streams.c.needed_from,
    _streams.c.pruned_to,
    _health.c.archive,
)
_ALL = select(*_COLUMNS).select_from(
    _streams.outerjoin(_health, _health.c.instance_id == _streams.c.instance_id)
)


# Reading


def of_instance(unit: Unit, instance_id: str) -> tuple[StreamRecord, ...]:
    """Return the instance's streams, the oldest first."""
    query = _ALL.where(_streams.c.instance_id == instance_id)
    return tuple(_record(row) for row in unit.execute(query.order_by(_streams.c.created_at)))


def everything(unit: Unit) -> tuple[StreamRecord, ...]:
    """Return the streams of all instances."""
    return tuple(_record(row) for row in unit.execute(_ALL))


def live(unit: Unit, instance_id: str) -> StreamRecord | None:
    """Return the stream that the instance's log goes to, if it is archived."""
    return next((each for each in of_instance(unit, instance_id) if each.live), None)


def show(unit: Unit, stream_id: str) -> StreamRecord | None:
    row = unit.execute(_ALL.where(_streams.c.id == stream_id)).one_or_none()
    return None if row is None else _record(row)


def reached(unit: Unit, instance_id: str) -> Reached | None:
    """Return how far the instance's archive is, as its guest said last; None: nobody knows."""
    stream = live(unit, instance_id)
    if stream is None or stream.report is None:
        return None
    return Reached(stream.id, stream.report.sequence)


def source(unit: Unit, instance_id: str) -> tuple[str, int]:
    """Return the engine of an instance, and its memory in MiB; raise `NotFound`."""
    row = unit.execute(
        select(_versions.c.manager, _instances.c.flavor_ram_mib)
        .select_from(
            _instances.join(_versions, _versions.c.id == _instances.c.datastore_version_id)
        )
        .where(_instances.c.id == instance_id)
    ).one_or_none()
    if row is None:
        raise errors.NotFound(f"Instance {instance_id} cannot be found.")
    return str(row.manager), int(row.flavor_ram_mib)


def _record(row: Any) -> StreamRecord:
    said = _report(row.archive)
    if said is None or said.stream != row.id:
        said = _report(row.report)
    return StreamRecord(
        id=row.id,
        instance_id=row.instance_id,
        project_id=row.project_id,
        strategy=row.strategy,
        storage=row.storage,
        account=row.account,
        container=row.container,
        data_key=json.loads(row.data_key),
        live=row.ended_at is None,
        report=said,
        granted=bool(row.granted),
        needed_from=row.needed_from,
        pruned_to=row.pruned_to,
    )


def _report(said: Any) -> ArchiveReport | None:
    data = json.loads(said) if said else None
    return None if data is None else codec.load(ArchiveReport, data)


# What operations change


def add(unit: Unit, stream: StreamRecord, operation_id: str, user_id: str) -> None:
    """Write a stream before anything of it exists; a repetition changes nothing."""
    known = unit.scalar(select(_streams.c.id).where(_streams.c.id == stream.id))
    if known is not None:
        return
    unit.execute(
        insert(_streams).values(
            id=stream.id,
            instance_id=stream.instance_id,
            project_id=stream.project_id,
            user_id=user_id,
            strategy=stream.strategy,
            storage=stream.storage,
            account=stream.account,
            container=stream.container,
            data_key=json.dumps(stream.data_key),
            operation_id=operation_id,
        )
    )


def granted(unit: Unit, stream_id: str, seconds: float) -> None:
    """Note for how long a guest may write to it."""
    unit.execute(
        update(_streams).where(_streams.c.id == stream_id).values(granted_until=later(seconds))
    )


def end(unit: Unit, instance_id: str, keep: str = "") -> None:
    """End the instance's streams but the one to keep, and remember how far they came."""
    for stream in of_instance(unit, instance_id):
        if stream.live and stream.id != keep:
            said = None if stream.report is None else json.dumps(codec.dump(stream.report))
            unit.execute(
                update(_streams).where(_streams.c.id == stream.id).values(ended_at=NOW, report=said)
            )


def remove(unit: Unit, stream_id: str) -> None:
    unit.execute(delete(_streams).where(_streams.c.id == stream_id))


# What is due


@dataclass(frozen=True)
class Due:
    """A stream, or an instance, that something is to be done about."""

    stream_id: str
    instance_id: str
    project_id: str
    user_id: str


def wanting(unit: Unit, margin: float, limit: int, instance_id: str = "") -> Sequence[Due]:
    """Return live streams whose guests want leave to go on, or a new stream, or will want it within
    `margin` seconds; not those that are told already. `instance_id`: only this one's."""
    query = (
        _attended()
        .where(
            or_(_health.c.archive_calls, _streams.c.granted_until < later(margin)),
            ~exists().where(
                _operations.c.instance_id == _streams.c.instance_id,
                _operations.c.kind == "set_archiving",
                _operations.c.state.not_in(ENDED),
            ),
        )
        .limit(limit)
    )
    if instance_id:
        query = query.where(_streams.c.instance_id == instance_id)
    return [Due(*row) for row in unit.execute(query)]


def _attended() -> Select[Any]:
    """Return the query for live streams whose guests are up and listen, as they are in `Due`."""
    return (
        _due()
        .join(_health, _health.c.instance_id == _streams.c.instance_id)
        .join(_instances, _instances.c.id == _streams.c.instance_id)
        .where(
            _streams.c.ended_at.is_(None),
            _instances.c.status == Status.ACTIVE,
            seconds_since(_health.c.heard_at) < LIVELY,
        )
    )


def _due() -> Select[Any]:
    return select(
        _streams.c.id, _streams.c.instance_id, _streams.c.project_id, _streams.c.user_id
    ).select_from(_streams)


def never_archived(unit: Unit, versions: Sequence[str], limit: int) -> Sequence[Due]:
    """Return instances of these versions, by their ids, that are up and never had a stream."""
    if not versions:
        return []
    query = (
        select(_instances.c.id, _instances.c.project_id)
        .select_from(_instances.join(_health, _health.c.instance_id == _instances.c.id))
        .where(
            _instances.c.status == Status.ACTIVE,
            _instances.c.datastore_version_id.in_(list(versions)),
            seconds_since(_health.c.heard_at) < LIVELY,
            ~exists().where(_streams.c.instance_id == _instances.c.id),
            ~exists().where(
                _operations.c.instance_id == _instances.c.id,
                _operations.c.kind == "set_archiving",
                _operations.c.created_at > later(-LIVELY),
            ),
        )
        .limit(limit)
    )
    return [Due("", id_, project_id, "") for id_, project_id in unit.execute(query)]


def unpruned(unit: Unit, age: float, limit: int) -> Sequence[Due]:
    """Return streams of which it was not looked at for `age` seconds whether they are needed."""
    since = func.coalesce(_streams.c.pruned_at, _streams.c.created_at)
    query = _due().where(seconds_since(since) > age, ~_at_work()).order_by(since).limit(limit)
    return [Due(*row) for row in unit.execute(query)]


def looked_at(unit: Unit, stream_id: str, needed_from: int) -> None:
    """Note that objects before this one are not needed any more: they may be gone from now on."""
    first = func.greatest(_streams.c.needed_from, needed_from)
    unit.execute(
        update(_streams).where(_streams.c.id == stream_id).values(needed_from=first, pruned_at=NOW)
    )


def pruned(unit: Unit, stream_id: str, upto: int) -> None:
    """Note that objects up to this one are gone."""
    gone = func.greatest(_streams.c.pruned_to, upto)
    unit.execute(update(_streams).where(_streams.c.id == stream_id).values(pruned_to=gone))


def compactable(unit: Unit, age: float, limit: int) -> Sequence[Due]:
    """Return streams that were not compacted for `age` seconds, and whose guests can do it; those
    that wait for longest first."""
    since = func.coalesce(_streams.c.compacted_at, _streams.c.created_at)
    query = (
        _attended()
        .where(
            seconds_since(since) > age,
            ~_at_work(),
        )
        .order_by(since)
        .limit(limit)
    )
    return [Due(*row) for row in unit.execute(query)]


def compaction_asked(unit: Unit, stream_id: str) -> None:
    """Note that it is tried: one that fails does not keep others from theirs."""
    unit.execute(update(_streams).where(_streams.c.id == stream_id).values(compacted_at=NOW))


def compacted(unit: Unit, stream_id: str, upto: int, age: float = 0.0) -> None:
    """Note up to which object a stream was compacted; `age`: as if so many seconds ago."""
    unit.execute(
        update(_streams)
        .where(_streams.c.id == stream_id)
        .values(compacted_to=upto, compacted_at=later(-age))
    )


def is_read(unit: Unit, instance_id: str) -> bool:
    """Return whether somebody restores what was the instance's: its archive may be a part."""
    query = (
        select(_readers.c.operation_id)
        .select_from(
            _readers.join(_backups, _backups.c.id == _readers.c.backup_id).join(
                _operations, _operations.c.id == _readers.c.operation_id
            )
        )
        .where(
            _backups.c.instance_id == instance_id,
            _operations.c.kind == "restore_instance",
            _operations.c.state.not_in(ENDED),
        )
        .limit(1)
    )
    return unit.scalar(query) is not None


def in_hand(unit: Unit, stream_id: str, operation_id: str) -> None:
    """Note that this operation is at it."""
    unit.execute(
        update(_streams).where(_streams.c.id == stream_id).values(operation_id=operation_id)
    )


def at_work(unit: Unit) -> frozenset[str]:
    """Return the streams that an operation is at."""
    return frozenset(unit.scalars(select(_streams.c.id).where(_at_work())))


def _at_work() -> Any:
    return exists().where(
        _operations.c.id == _streams.c.operation_id, _operations.c.state.not_in(ENDED)
    )


def moment(seconds: float) -> datetime:
    """Return a moment as the catalog has them."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
