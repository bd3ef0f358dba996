"""What a new instance begins with: backups, laid out by its guest before a server runs there."""

from typing import Protocol

from dbaas.catalog import backups
from dbaas.catalog.records import BackupRecord
from dbaas.contract import backups as names
from dbaas.contract import errors
from dbaas.contract.messages import (
    ArchiveReplay,
    Grant,
    GrantRenewal,
    Progress,
    Restored,
    RestoreOrder,
    RestorePart,
)
from dbaas.contract.requests import CreateInstance
from dbaas.strategies.grants.base import Place
from dbaas.taskmanager.flow import HOUR
from dbaas.taskmanager.steps import attending, replaying
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

PATIENCE = 6 * HOUR
GRANTED = 900.0
"""Seconds for which a guest may read what it was granted; it asks for more when it needs it."""
AHEAD = 64
"""Segments for which a guest has leave in advance, where each needs its own."""


class Restoring(Protocol):
    """What is journalled of an instance that begins with backups."""

    instance_id: str
    request: CreateInstance
    parts: tuple[RestorePart, ...]
    replay: ArchiveReplay | None
    restored: Restored | None


def open_backups(op: Restoring, tools: Toolbox) -> None:
    """Give the guest leave to read them, and their keys; raise `Failed` if one is gone by now."""
    services: Services = tools.services
    restore = op.request.restore
    if restore is None:
        raise errors.Failed("There is no backup to begin with.")
    try:
        chain = services.catalog.read(lambda unit: backups.chain(unit, restore.backup_ids[-1]))
    except (errors.NotFound, errors.Conflict) as error:
        raise errors.Failed(f"The backup cannot be restored any more: {error.text}") from error
    if tuple(backup.id for backup in chain) != restore.backup_ids:
        raise errors.Failed("The backup does not build any more on what it was made from.")
    op.parts = tuple(_part(backup, services) for backup in chain)
    op.replay = replaying.order(restore, chain[-1], services)


def _part(backup: BackupRecord, services: Services) -> RestorePart:
    where = names.whereabouts(backup.id, backup.object_name)
    return RestorePart(
        backup=where.stream,
        strategy=backup.strategy,
        grant=_grant(backup, 1, services),
        key=None if backup.data_key is None else services.sealer.show(backup.data_key),
        manifest_sha256=backup.manifest_sha256 or "",
        plain=where.plain,
    )


def _grant(backup: BackupRecord, first: int, services: Services) -> Grant:
    where = names.whereabouts(backup.id, backup.object_name)
    segments = (names.segment_name(n) for n in range(first, first + AHEAD))
    wanted = (where.plain,) if where.plain else (names.MANIFEST, *segments)
    place = Place(backup.account, backup.container, where.prefix)
    return services.vault(backup.storage).grant(place, "GET", wanted, GRANTED)


def restore_data(op: Restoring, tools: Toolbox) -> None:
    request = op.request
    order = RestoreOrder(
        engine=request.engine,
        version=request.engine_version,
        memory_mib=request.flavor_ram_mib,
        parts=op.parts,
        replay=op.replay,
    )
    guest = tools.guest(op.instance_id)
    op.restored = attending.answer(
        lambda: guest.restore_backup(order),
        op.instance_id,
        lambda command, progress: _renewal(op, command, progress, tools),
        tools,
    )


def _renewal(
    op: Restoring, command: str, progress: Progress, tools: Toolbox
) -> GrantRenewal | None:
    """Return leave to read more of a backup, of those that it was given leave to read already."""
    services: Services = tools.services
    restore = op.request.restore
    if op.replay is not None and progress.backup == op.replay.stream:
        grant = replaying.renewed(op.replay, progress.wants, services)
        return GrantRenewal(command, op.replay.stream, grant)
    for id_, part in zip(restore.backup_ids if restore else (), op.parts, strict=True):
        if part.backup == progress.backup:
            grant = _grant(_read(id_, services), progress.wants, services)
            return GrantRenewal(command, part.backup, grant)
    return None


def _read(backup_id: str, services: Services) -> BackupRecord:
    return services.catalog.read(lambda unit: backups.show(unit, backup_id, None))
