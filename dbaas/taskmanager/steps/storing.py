"""Taking a backup: the storage is made ready, the guest fills it, and it is seen that it has."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbaas.catalog import archives, backups
from dbaas.catalog.records import BackupRecord
from dbaas.contract import errors
from dbaas.contract.backups import MANIFEST, Manifest, prefix, segment_name, write_manifest
from dbaas.contract.messages import (
    BackupOrder,
    Grant,
    GrantRenewal,
    Progress,
    Segment,
    StoredBackup,
)
from dbaas.contract.requests import CreateBackup
from dbaas.contract.secret import Secret
from dbaas.strategies.grants.base import Place, Stored
from dbaas.taskmanager.flow import HOUR, Step
from dbaas.taskmanager.steps import attending
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

PATIENCE = 6 * HOUR
GRANTED = 900.0
"""Seconds for which a guest may write what it was granted; it asks for more when it needs it."""
AHEAD = 64
"""Segments for which a guest has leave in advance, where each needs its own."""
APPEARS = 60.0
"""Seconds within which a listing shows what was stored."""


@dataclass
class Storing:
    """What is journalled of a backup that is being made.

    What happens when it fails is not in here: whatever the end, the backup's row tells it.
    """

    instance_id: str
    backup: CreateBackup
    account: str = ""
    key: Secret | None = None
    grant: Grant | None = None
    since: dict[str, str] = field(default_factory=dict)
    stored: StoredBackup | None = None
    manifest_sha256: str = ""


def prepare_storage(op: Storing, tools: Toolbox) -> None:
    """Have a place for it, a key of its own, and leave for the guest to write there."""
    services: Services = tools.services
    wanted = op.backup
    vault = services.vault(wanted.storage)
    row = services.catalog.read(lambda unit: backups.show(unit, wanted.backup_id, None))
    op.account = vault.account(row.project_id)
    reached = services.catalog.read(lambda unit: archives.reached(unit, op.instance_id))
    op.since = _position_of(wanted.parent_id, services)
    place = Place(op.account, wanted.container, prefix(wanted.backup_id))
    tools.effect(lambda: vault.ensure(place))
    op.key = key = Secret(secrets.token_hex(32))
    op.grant = vault.grant(place, "PUT", _names(1), GRANTED)
    sealed = services.sealer.hide(key)
    account = op.account
    tools.write(
        lambda unit: backups.begin(unit, wanted.backup_id, sealed, account, GRANTED, reached)
    )


def _position_of(parent_id: str, services: Services) -> dict[str, str]:
    if not parent_id:
        return {}
    chain = services.catalog.read(lambda unit: backups.chain(unit, parent_id))
    return dict(chain[-1].position or {})


def take_backup(op: Storing, tools: Toolbox) -> None:
    """Have the guest store it, for as long as it goes on."""
    if op.key is None or op.grant is None:
        raise errors.Failed("The backup has no place to go to.")
    wanted = op.backup
    order = BackupOrder(
        backup=wanted.backup_id,
        strategy=wanted.strategy,
        key=op.key,
        grant=op.grant,
        segment_size=wanted.segment_size,
        since=op.since,
    )
    guest = tools.guest(op.instance_id)
    op.stored = attending.answer(
        lambda: guest.take_backup(order),
        op.instance_id,
        lambda command, progress: _renewal(op, command, progress, tools),
        tools,
    )


def _renewal(op: Storing, command: str, progress: Progress, tools: Toolbox) -> GrantRenewal:
    services: Services = tools.services
    vault = services.vault(op.backup.storage)
    backup_id = op.backup.backup_id
    grant = vault.grant(place_of(op), "PUT", _names(progress.wants), GRANTED)
    # Before the guest has it: who sweeps what a failed backup left waits until it is over.
    services.catalog.run(lambda unit: backups.grant_extended(unit, backup_id, GRANTED))
    return GrantRenewal(command, backup_id, grant)


def _names(first: int) -> Sequence[str]:
    return [segment_name(n) for n in range(first, first + AHEAD)]


def see_what_is_stored(op: Storing, tools: Toolbox) -> None:
    """Raise `Failed` unless the storage has what the guest says that it stored."""
    stored = _stored(op)
    services: Services = tools.services
    listing = services.vault(op.backup.storage).listing(place_of(op))
    for segment in stored.segments:
        check_listed(segment, listing, "segment")


def check_listed(stored: Segment, listing: Mapping[str, Stored], what: str) -> None:
    """Raise `Failed` where the storage has something else, `Unavailable` where nothing yet."""
    found = listing.get(stored.name)
    if found is None:
        raise errors.Unavailable(f"The storage does not show {what} {stored.name} yet.")
    differs = bool(found.md5 and stored.md5) and found.md5 != stored.md5
    if differs or found.size != stored.size:
        raise errors.Failed(
            f"The storage has something else as {what} {stored.name} than was stored."
        )


def store_manifest(op: Storing, tools: Toolbox) -> None:
    """Write down, beside the segments, what they are."""
    stored, key = _stored(op), op.key
    if key is None:
        raise errors.Failed("The backup has no key.")
    services: Services = tools.services
    wanted = op.backup
    row = services.catalog.read(lambda unit: backups.show(unit, wanted.backup_id, None))
    content = write_manifest(_manifest(op, row, stored), key)
    op.manifest_sha256 = hashlib.sha256(content).hexdigest()
    vault = services.vault(wanted.storage)
    tools.effect(lambda: vault.put(place_of(op), MANIFEST, content))


def _manifest(op: Storing, row: BackupRecord, stored: StoredBackup) -> Manifest:
    return Manifest(
        backup=op.backup.backup_id,
        parent=op.backup.parent_id,
        engine=row.engine,
        engine_version=stored.engine_version,
        strategy=op.backup.strategy,
        segments=stored.segments,
        data_size=stored.data_size,
        restored_size=stored.restored_size,
        taken_at=stored.taken_at,
        key=row.data_key,
        position=stored.position,
    )


def record_backup(op: Storing, tools: Toolbox) -> None:
    """Call it complete: from now on it can be restored."""
    stored, services = _stored(op), tools.services
    vault = services.vault(op.backup.storage)
    location = vault.location(place_of(op), MANIFEST)
    tools.write(
        lambda unit: backups.complete(
            unit, op.backup.backup_id, stored, op.manifest_sha256, location
        )
    )


def place_of(op: Storing) -> Place:
    return Place(op.account, op.backup.container, prefix(op.backup.backup_id))


def _stored(op: Storing) -> StoredBackup:
    if op.stored is None:
        raise errors.Failed("The guest stored nothing.")
    return op.stored


STORE = (
    Step(prepare_storage, deadline=HOUR / 4),
    Step(take_backup, deadline=PATIENCE),
    Step(see_what_is_stored, deadline=APPEARS),
    Step(store_manifest, deadline=HOUR / 4),
)
"""What comes before a backup is recorded, which its flow does together with its own state."""
