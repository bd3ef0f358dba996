"""What the catalog says of the objects of backups and archives in storages: for the audit."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, select

from dbaas.catalog import archives, tables
from dbaas.catalog.moments import NOW
from dbaas.catalog.unit import Unit
from dbaas.contract.backups import BackupStatus
from dbaas.contract.operations import State

_backups = tables.backups
_operations = tables.operations


@dataclass(frozen=True)
class Kept:
    """A backup of ours that has a place in a storage, be it gone by now."""

    id: str
    status: BackupStatus
    storage: str
    account: str
    container: str
    manifest_sha256: str | None
    is_at_work: bool
    """Whether an operation is at it."""
    is_granted: bool
    """Whether somebody may still write there."""


@dataclass(frozen=True)
class KeptStream:
    """A stream of an archive; nobody needs its objects before number `first`."""

    id: str
    instance_id: str
    storage: str
    account: str
    container: str
    first: int
    last: int = field(compare=False)
    """The last one that is known to be stored; there may be more meanwhile."""
    is_at_work: bool


def streams(unit: Unit) -> list[KeptStream]:
    """Return all that there are."""
    busy = archives.at_work(unit)
    return [
        KeptStream(
            *(one.id, one.instance_id, one.storage, one.account, one.container),
            *(one.needed_from, one.report.sequence if one.report else 0, one.id in busy),
        )
        for one in archives.everything(unit)
    ]


def backups(unit: Unit) -> list[Kept]:
    """Return all that ever had a place; those that were registered are somebody else's."""
    at_work = and_(
        _operations.c.id == _backups.c.operation_id,
        _operations.c.state.in_((State.RUNNABLE, State.PARKED)),
    )
    query = (
        select(
            _backups.c.id,
            _backups.c.status,
            _backups.c.storage,
            _backups.c.account,
            _backups.c.container,
            _backups.c.manifest_sha256,
            select(_operations.c.id).where(at_work).exists().label("is_at_work"),
            _granted().label("is_granted"),
        )
        .where(_backups.c.account != "", _backups.c.object_name == "")
        .order_by(_backups.c.id)
    )
    return [
        Kept(
            *(row.id, BackupStatus(row.status), row.storage, row.account, row.container),
            *(row.manifest_sha256, bool(row.is_at_work), bool(row.is_granted)),
        )
        for row in unit.execute(query)
    ]


def _granted() -> Any:
    return and_(_backups.c.granted_until.is_not(None), _backups.c.granted_until >= NOW)
