"""Which backups a new instance can begin with."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

from dbaas.catalog import backups, instances, recovery
from dbaas.catalog.records import BackupRecord, DatastoreVersion
from dbaas.catalog.unit import Unit
from dbaas.common.context import Context
from dbaas.contract import errors
from dbaas.contract.requests import RestoreFrom
from dbaas.strategies import registry
from dbaas.strategies.restore import base

GIB = 1 << 30


def chain_of(unit: Unit, backup_id: str, who: Context) -> tuple[BackupRecord, ...]:
    """Return the backup with what it builds on, the full one first.

    Raises `NotFound`, and `Conflict` unless all of it can be restored.
    """
    backups.show(unit, backup_id, None if who.is_admin else who.project_id)
    return backups.chain(unit, backup_id)


@dataclass(frozen=True)
class Begin:
    """What an instance begins with: backups, the full one first, and what is played on them."""

    chain: Sequence[BackupRecord] = ()
    until: float | None = None
    stream: str = ""

    @property
    def order(self) -> RestoreFrom | None:
        if not self.chain:
            return None
        return RestoreFrom(tuple(backup.id for backup in self.chain), self.until, self.stream)


NOTHING = Begin()


def begin_of(unit: Unit, point: Mapping[str, Any], who: Context) -> Begin:
    """Return what a `restorePoint` means.

    Raises `NotFound`, `Conflict` unless all of it can be restored, and `Invalid` for a moment that
    cannot be gone back to.
    """
    backup_id, instance_id = point.get("backupRef"), point.get("instanceRef")
    if (backup_id is None) == (instance_id is None):
        raise errors.Invalid("restorePoint must have either backupRef or instanceRef.")
    if instance_id is not None and "time" not in point:
        raise errors.Invalid("restorePoint['instanceRef'] needs restorePoint['time'].")
    if "time" not in point:
        return Begin(chain_of(unit, str(backup_id), who))
    moment = _moment(point["time"])
    project_id = None if who.is_admin else who.project_id
    if instance_id is not None:
        instances.show(unit, instance_id, project_id, deleted=True)
        choice = recovery.choose_of_instance(unit, instance_id, project_id, moment)
    else:
        backup = backups.show(unit, str(backup_id), project_id)
        choice = recovery.choose_of_backup(unit, backup, moment)
    return Begin(chain_of(unit, choice.backup_id, who), moment, choice.stream)


def _moment(text: str) -> float:
    """Return it in seconds since 1970; without a zone it is UTC."""
    found = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
    # The first year and the last are, in UTC, perhaps none at all.
    if found is None or not MINYEAR < found.year < MAXYEAR:
        raise errors.Invalid(
            f"restorePoint['time'] must be a moment, as 2026-11-20T10:15:03Z, not {text[:40]!r}."
        )
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def datastore_of(chain: Sequence[BackupRecord]) -> dict[str, str]:
    """Return what an instance is of that says nothing else: the same as its backup."""
    return {"type": chain[-1].datastore_id, "version": chain[-1].version_id} if chain else {}


def check(chain: Sequence[BackupRecord], version: DatastoreVersion, volume_gib: int) -> None:
    """Raise `Invalid` where this version cannot have it, `Forbidden` for a volume too small."""
    if not chain:
        return
    last = chain[-1]
    if last.datastore_id != version.datastore_id:
        raise errors.Invalid(
            f"Backup {last.id} is of the datastore {last.datastore}: an instance of another one "
            "cannot be made of it."
        )
    strategy = registry.load("restore", last.strategy)
    taken = last.engine_version or last.version
    try:
        base.check_version(taken, version.version, physical=strategy.physical)  # type: ignore[attr-defined] # the strategy's class
    except errors.Unsupported as error:
        raise errors.Invalid(f"instance['datastore']['version']: {error.text}.") from None
    needed = max(backup.restored_size or 0 for backup in chain)
    if needed > volume_gib * GIB:
        raise errors.Forbidden(
            f"Backup {last.id} needs a volume of {-(-needed // GIB)} GiB at least, and not of "
            f"{volume_gib}."
        )
