"""What is asked about backups: registering one that is there, and verifying one."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from dbaas.api.services import Services
from dbaas.api.usecases import restore
from dbaas.api.usecases.create_instance import Offered
from dbaas.catalog import backup_orders, backups, datastores, instances, quotas
from dbaas.catalog.backup_orders import Asker
from dbaas.catalog.records import BackupRecord, NewBackup, Registration
from dbaas.catalog.unit import Unit
from dbaas.cloud.base import Flavor
from dbaas.common.context import Context
from dbaas.contract import errors
from dbaas.contract.backups import MANIFEST, Manifest, check_manifest, read_manifest
from dbaas.engines import manifests
from dbaas.strategies.grants.base import Place, Vault

GIB = 1 << 30
LARGEST_MANIFEST = 1 << 20
PLAIN = ".xbstream.gz"


@dataclass(frozen=True)
class Found:
    """What is at the location that a tenant named, and what its manifest says, where it has one."""

    storage: str
    container: str
    made: Registration
    manifest: Manifest | None = None


def look_at(url: str, size_gib: float, who: Context, services: Services) -> Found:
    """Return what is there; the storage is asked, so do not call this in a transaction.

    Raises `Invalid` for what cannot be read, or is none of this project's.
    """
    vault, place, name = _locate(url, services)
    _expect_own(vault, place, who)
    try:
        if name == MANIFEST:
            return _look_at_manifest(url, vault, place, services)
        if not name.endswith(PLAIN):
            raise errors.Invalid(
                f"remote_location must be that of a {MANIFEST} of this service, or of an object "
                f"that ends in {PLAIN}."
            )
        made = Registration(
            account=place.account,
            object_name=f"{place.prefix}{name}",
            location=url,
            stored_size=vault.size(place, name),
            restored_size=int(size_gib * GIB),
        )
    except (errors.NotFound, errors.Forbidden) as error:
        raise errors.Invalid(f"remote_location cannot be read: {error.text}") from None
    return Found(vault.name, place.container, made)


def _locate(url: str, services: Services) -> tuple[Vault, Place, str]:
    reason = "there is no storage for backups in this deployment"
    for vault in services.vaults.values():
        try:
            return vault, *vault.locate(url)
        except errors.Invalid as error:
            reason = error.text
    raise errors.Invalid(f"remote_location: {reason}")


def _expect_own(vault: Vault, place: Place, who: Context) -> None:
    """Raise `Invalid` for another project's: we could read it, and he may not."""
    if who.is_admin:
        return
    shared = vault.account(who.project_id) == vault.account(f"{who.project_id}-other")
    if shared or place.account != vault.account(who.project_id):
        raise errors.Invalid("remote_location is not in the storage of this project.")


def _look_at_manifest(url: str, vault: Vault, place: Place, services: Services) -> Found:
    content = vault.get(place, MANIFEST, LARGEST_MANIFEST)
    try:
        manifest = read_manifest(content)
        key = services.sealer.show(manifest.key)
        check_manifest(manifest, key)
    except errors.Invalid:
        raise errors.Invalid(
            "remote_location: that backup was made under another master key, and cannot be read."
        ) from None
    except errors.Failed as error:
        raise errors.Invalid(f"remote_location: {error.text}") from None
    if manifest.parent:
        raise errors.Invalid(
            "remote_location: that backup builds on another one; only full ones can be registered."
        )
    made = Registration(
        account=place.account,
        object_name=f"{place.prefix}{MANIFEST}",
        location=url,
        stored_size=sum(segment.size for segment in manifest.segments),
        restored_size=manifest.restored_size,
        data_size=manifest.data_size,
        data_key=manifest.key,
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        position=manifest.position,
        engine_version=manifest.engine_version,
        taken_at=manifest.taken_at,
    )
    return Found(vault.name, place.container, made, manifest)


def register(
    unit: Unit,
    found: Found,
    name: str,
    description: str | None,
    version_id: str,
    who: Context,
    services: Services,
) -> BackupRecord:
    """Write its row: it can be restored at once."""
    versions = [one for store in datastores.everything(unit) for one in store.versions]
    version = next((one for one in versions if one.id == version_id), None)
    if version is None:
        raise errors.NotFound(f"Datastore version {version_id[:64]} cannot be found.")
    manifest = found.manifest
    if manifest is not None and manifest.engine != version.manager:
        raise errors.Invalid(
            f"remote_location is a backup of {manifest.engine}, and no {version.manager}."
        )
    strategy = manifests.check_backup(version.manager, manifest.strategy if manifest else "")
    quotas.charge(unit, who.project_id, {"backups": 1}, services.quotas)
    id_ = str(uuid.uuid4())
    backups.register(
        unit,
        NewBackup(
            id=id_,
            project_id=who.project_id,
            user_id=who.user_id,
            name=name,
            description=description,
            instance_id=None,
            datastore_version_id=version.id,
            strategy=strategy,
            storage=found.storage,
            container=found.container,
        ),
        found.made,
    )
    return backups.show(unit, id_, who.project_id)


def verify(
    unit: Unit, backup_id: str, who: Context, offered: Offered, services: Services
) -> tuple[BackupRecord, str]:
    """Accept that it is restored for a trial; return it, and the operation that does it."""
    chain = restore.chain_of(unit, backup_id, who)
    flavor, network = _room_for(unit, chain[-1], offered)
    most = services.options.max_accepted_volume_size
    scratch = backup_orders.Scratch(flavor.id, flavor.ram_mib, network, most)
    asker = Asker(None, who.user_id, who.request_id, who.client_ip)
    return chain[-1], backup_orders.verify(unit, chain, scratch, asker, services.sealer)


def _room_for(unit: Unit, backup: BackupRecord, offered: Offered) -> tuple[Flavor, str]:
    """Return flavor and network like those of its instance, while that is there."""
    flavors: Sequence[Flavor] = sorted(offered.flavors, key=lambda one: one.ram_mib)
    network = offered.default_network
    if backup.instance_id:
        source = instances.show(unit, backup.instance_id, None, deleted=True)
        known = {one.network for one in offered.subnets}
        own = [item.get("network", "") for item in source.addresses]
        network = next((one for one in own if one in known), network)
        flavors = [one for one in flavors if one.id == source.flavor_id] or flavors
    if not flavors:
        raise errors.Failed("There is no flavor in which the backup could be verified.")
    if not network:
        raise errors.Failed("There is no network on which the backup could be verified.")
    return flavors[0], network
