"""Which backups a new instance can begin with."""

from collections.abc import Sequence

from dbaas.catalog import backups
from dbaas.catalog.records import BackupRecord, DatastoreVersion
from dbaas.catalog.unit import Unit
from dbaas.common.context import Context
from dbaas.contract import errors
from dbaas.strategies import registry
from dbaas.strategies.restore import base

GIB = 1 << 30


def chain_of(unit: Unit, backup_id: str, who: Context) -> tuple[BackupRecord, ...]:
    """Return the backup with what it builds on, the full one first.

    Raises `NotFound`, and `Conflict` unless all of it can be restored.
    """
    backups.show(unit, backup_id, None if who.is_admin else who.project_id)
    return backups.chain(unit, backup_id)


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
