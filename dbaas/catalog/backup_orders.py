"""Accepting that backups are made and deleted: the same for requests and for schedules."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dbaas.catalog import (
    backup_strategies,
    backups,
    datastores,
    guards,
    guests,
    instances,
    operations,
    quotas,
)
from dbaas.catalog.records import BackupRecord, LockedInstance, NewBackup
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.backups import RUNNING
from dbaas.contract.requests import (
    CreateBackup,
    CreateInstance,
    DeleteBackups,
    RestoreFrom,
    VerifyBackup,
)
from dbaas.contract.states import Event
from dbaas.engines import manifests

MIB, GIB = 1 << 20, 1 << 30
ROOM = 1.2
"""A scratch volume is so many times as large as what is restored into it."""
LAYING_OUT = 2
"""It is at most so many times as large as a volume: increments are laid out beside the data."""
SEGMENTS = 1200
"""What a guest can tell of in one message, and a little less."""
SMALLEST, LARGEST = 4 * MIB, 32 * MIB
"""Bytes of a segment, of which a guest has three in memory, unless there is very much data."""
PACKED = 0.7
"""What data is packed to, at the worst that is usual."""


@dataclass(frozen=True)
class Asker:
    """Who asks; nobody, where it is a schedule's time."""

    project_id: str | None
    """Whose backups and instances there are for him; None: every project's."""
    user_id: str
    request_id: str = ""
    client_ip: str = ""


@dataclass(frozen=True)
class Means:
    """What the deployment has for backups; the first storage is the usual one."""

    sealer: Sealer
    quotas: Mapping[str, int]
    storages: Collection[str]
    container: str


@dataclass(frozen=True)
class Wanted:
    """A backup to be; what is empty follows from strategies and options."""

    name: str
    instance_id: str
    description: str | None = None
    parent_id: str = ""
    incremental: bool = False
    """On the last one that is complete, if there is one; without it, it is a full one."""
    storage: str = ""
    container: str = ""
    schedule_id: str | None = None


@dataclass(frozen=True)
class Accepted:
    backup_id: str
    operation_id: str


def make(unit: Unit, wanted: Wanted, asker: Asker, means: Means) -> Accepted:
    """Accept a backup.

    Raises `NotFound` for instance or parent, `Busy` while the instance may not be changed,
    `OverQuota`, `Unsupported` for an engine that has no backups, `Invalid`, `Conflict`.
    """
    instance = instances.lock(unit, wanted.instance_id, asker.project_id)
    guards.check_ready(unit, instance)
    asked = order(unit, wanted, instance, means)
    instances.move(unit, instance, Event.BACK_UP)
    operation_id = operations.accept(
        unit, _request("create_backup", instance, asker, asked), means.sealer
    )
    add(unit, wanted, instance, asked, operation_id, asker.user_id)
    return Accepted(asked.backup_id, operation_id)


def add(
    unit: Unit,
    wanted: Wanted,
    instance: LockedInstance,
    asked: CreateBackup,
    operation_id: str,
    user_id: str,
) -> None:
    """Write the row of a backup that this operation makes."""
    version = datastores.of_instance(unit, instance.id)
    backups.add(
        unit,
        NewBackup(
            id=asked.backup_id,
            project_id=instance.project_id,
            user_id=user_id,
            name=wanted.name,
            description=wanted.description,
            instance_id=instance.id,
            datastore_version_id=version.id,
            strategy=asked.strategy,
            storage=asked.storage,
            container=asked.container,
            parent_id=asked.parent_id or None,
            schedule_id=wanted.schedule_id,
            operation_id=operation_id,
        ),
    )


def order(unit: Unit, wanted: Wanted, instance: LockedInstance, means: Means) -> CreateBackup:
    """Return what a guest is to do for it, and charge the project; `add` writes its row.

    Raises as `make`, but for what is about the instance's state.
    """
    version = datastores.of_instance(unit, instance.id)
    strategy = manifests.check_backup(version.manager, "")
    parent = _parent(unit, wanted, instance)
    storage = wanted.storage or next(iter(means.storages), "")
    if not storage:
        raise errors.Unsupported("There is no storage for backups in this deployment.")
    if storage not in means.storages:
        known = ", ".join(means.storages)
        raise errors.Invalid(f"storage_driver must be one of {known}, not {storage[:64]!r}.")
    quotas.charge(unit, instance.project_id, {"backups": 1}, means.quotas)
    return CreateBackup(
        backup_id=str(uuid.uuid4()),
        strategy=parent.strategy if parent else strategy,
        storage=storage,
        container=wanted.container
        or backup_strategies.container(unit, instance.project_id, instance.id)
        or means.container,
        segment_size=segment_size(instance.flavor_ram_mib, guests.volume_used(unit, instance.id)),
        parent_id=parent.id if parent else "",
    )


def _parent(unit: Unit, wanted: Wanted, instance: LockedInstance) -> BackupRecord | None:
    if wanted.parent_id:
        parent = backups.show(unit, wanted.parent_id, instance.project_id)
        if parent.instance_id != instance.id:
            raise errors.Invalid(
                f"Backup {parent.id} is not one of instance {instance.id}: a backup can only build "
                "on one of the same instance."
            )
        backups.lock_parent(unit, parent.id)
        backups.chain(unit, parent.id)
        return parent
    latest = None
    if wanted.incremental:
        latest = backups.latest(unit, instance.id, wanted.schedule_id)
    if latest is not None:
        backups.lock_parent(unit, latest.id)
    return latest


def segment_size(ram_mib: int, data: int) -> int:
    """Return how many bytes an object of a backup has, where so much data is on the volume."""
    usual = min(LARGEST, max(SMALLEST, ram_mib * MIB // 32))
    needed = int(data * PACKED / SEGMENTS)
    return max(usual, -(-needed // MIB) * MIB)


def delete(unit: Unit, backup_id: str, asker: Asker, sealer: Sealer) -> str | None:
    """Accept that a backup is deleted with all that build on it; None: that goes on already.

    Raises `NotFound`, and `Busy` while one of them is made or read.
    """
    doomed = backups.lock_with_descendants(unit, backup_id, asker.project_id)
    target = doomed[-1]
    if target.deleting:
        return None
    for one in doomed:
        if one.deleting:
            raise errors.Busy(
                f"Backup {one.id}, which builds on it, is being deleted by operation "
                f"{one.operation_id}: delete {target.id} when that is over."
            )
        if one.status in RUNNING:
            raise errors.Busy(f"Backup {one.id} is still being made: delete it when that is over.")
    ids = tuple(one.id for one in doomed)
    reading = backups.readers(unit, ids)
    if reading:
        raise errors.Busy(
            f"Backup {backup_id} is being restored by operation {reading[0]}: delete it when that "
            "is over."
        )
    request = operations.Request(
        kind="delete_backups",
        instance_id=target.instance_id or "",
        project_id=target.project_id,
        user_id=asker.user_id,
        request_id=asker.request_id,
        client_ip=asker.client_ip,
        body=DeleteBackups(ids),
        locks=ids,
    )
    operation_id = operations.accept(unit, request, sealer)
    backups.deletion_asked(unit, ids, operation_id)
    return operation_id


@dataclass(frozen=True)
class Scratch:
    """What a backup is restored into for a trial; `network` empty: the provider's own.

    `volume_gib`: of the largest volume from which it can be.
    """

    flavor: str
    ram_mib: int
    network: str
    volume_gib: int


def verify(
    unit: Unit, chain: Sequence[BackupRecord], scratch: Scratch, asker: Asker, sealer: Sealer
) -> str:
    """Accept that the last backup of a chain is restored for a trial; return the operation.

    Raises `Busy` while it is tried already, and `OverQuota` where it says that it needs more than
    it can: no quota holds for what that takes, and what it says came from a guest or a tenant.
    """
    last = chain[-1]
    needed, most = max(one.restored_size or 0 for one in chain), LAYING_OUT * scratch.volume_gib
    if needed > most * GIB:
        raise errors.OverQuota(
            f"Backup {last.id} cannot be verified: it says that it needs {-(-needed // GIB)} GiB, "
            f"and {most} are the most."
        )
    running = operations.running(unit, last.id)
    if running is not None:
        raise errors.Busy(
            f"Backup {last.id} is being verified by operation {running}: ask again when that is "
            "over."
        )
    version = datastores.version(unit, last.version_id)
    request = CreateInstance(
        name=f"verify-{last.id}",
        flavor=scratch.flavor,
        flavor_ram_mib=scratch.ram_mib,
        volume_gib=_scratch_gib(needed),
        volume_type="",
        engine=version.manager,
        engine_version=version.version,
        image=version.image_id,
        image_tags=version.image_tags,
        network=scratch.network,
        restore=RestoreFrom(tuple(one.id for one in chain)),
    )
    operation_id = operations.accept(
        unit,
        operations.Request(
            kind="verify_backup",
            instance_id=last.instance_id or "",
            project_id=last.project_id,
            user_id=asker.user_id,
            request_id=asker.request_id,
            client_ip=asker.client_ip,
            body=VerifyBackup(last.id, request, str(uuid.uuid4())),
            locks=(last.id,),
        ),
        sealer,
    )
    backups.read_by(unit, [one.id for one in chain], operation_id)
    return operation_id


def _scratch_gib(restored: int) -> int:
    return max(1, -(-int(restored * ROOM) // GIB))


def _request(kind: str, instance: LockedInstance, asker: Asker, body: object) -> operations.Request:
    return operations.Request(
        kind=kind,
        instance_id=instance.id,
        project_id=instance.project_id,
        user_id=asker.user_id,
        request_id=asker.request_id,
        client_ip=asker.client_ip,
        body=body,
        locks=(instance.id,),
    )
