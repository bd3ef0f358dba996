"""The audit of storages: do they have the objects of our backups and archives, and no other?"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dbaas.catalog import stored
from dbaas.catalog.stored import Kept, KeptStream
from dbaas.catalog.unit import Unit
from dbaas.contract import archives, errors
from dbaas.contract.backups import MANIFEST, BackupStatus, prefix, read_manifest
from dbaas.strategies.grants.base import Place, Vault

LARGEST_MANIFEST = 64 << 20
"""Bytes: that of a backup of 10 TiB has less."""

UNKNOWN = "has objects, but is not in the catalog"
LEFT = "was left behind: --fix removes its objects"
ADVICE = {
    UNKNOWN: "What the catalog does not know is nobody's here, and is never touched: it may be "
    "another deployment's.",
}
"""What to do about a problem. Of a backup that misses objects nothing can be restored."""

_GONE = (BackupStatus.FAILED, BackupStatus.DELETED)


BACKUP, ARCHIVE = "backup", "archive"


@dataclass(frozen=True)
class Stray:
    """A backup, or a stream of an archive, on which the storage and the catalog differ."""

    kind: str
    id: str
    problem: str
    place: Place
    storage: str

    @property
    def is_ours(self) -> bool:
        """Whether its objects may be removed."""
        return self.problem == LEFT


@dataclass(frozen=True)
class Known:
    """What the catalog says of all there should be."""

    backups: Sequence[Kept]
    streams: Sequence[KeptStream]

    @property
    def by_id(self) -> dict[str, Kept | KeptStream]:
        everything: list[Kept | KeptStream] = [*self.backups, *self.streams]
        return {one.id: one for one in everything}


def known(unit: Unit) -> Known:
    return Known(stored.backups(unit), stored.streams(unit))


def compare(vaults: Mapping[str, Vault], known: Known) -> list[Stray]:
    """Compare both ways; what an operation is at, or somebody may still write to, is left out."""
    found = [stray for one in known.backups for stray in _incomplete(vaults, one)]
    found += [stray for each in known.streams for stray in _torn(vaults, each)]
    places = {(one.storage, one.account, one.container) for one in known.by_id.values()}
    for storage, account, container in sorted(places):
        vault = _vault(vaults, storage)
        whole = Place(account, container, "")
        for group in vault.groups(whole):
            instance = archives.instance_of(group)
            if instance is None:
                found += _odd_backup(group, storage, whole, known)
            else:
                found += _odd_streams(instance, group, storage, whole, vault, known)
    return found


def still(strays: Iterable[Stray], before: Known, now: Known) -> list[Stray]:
    """Return those of which the catalog says what it said before the storage was looked at."""
    old, new = before.by_id, now.by_id
    return [stray for stray in strays if old.get(stray.id) == new.get(stray.id)]


def remove_all(vaults: Mapping[str, Vault], left: Iterable[Stray]) -> Iterator[Stray]:
    """Delete the objects of each; give each that is gone. It may be repeated."""
    for stray in left:
        _vault(vaults, stray.storage).delete(stray.place)
        yield stray


def _odd_backup(id_: str, storage: str, whole: Place, known: Known) -> Iterator[Stray]:
    if problem := _problem(id_, known.by_id.get(id_)):
        yield Stray(BACKUP, id_, problem, replace(whole, prefix=prefix(id_)), storage)


def _problem(id_: str, known: Kept | KeptStream | None) -> str:
    if not isinstance(known, Kept):
        return UNKNOWN if _is_id(id_) else ""  # a tenant's own things are in his container, too
    is_over = known.status in _GONE and not known.is_at_work and not known.is_granted
    return LEFT if is_over else ""


def _odd_streams(
    instance: str, group: str, storage: str, whole: Place, vault: Vault, known: Known
) -> Iterator[Stray]:
    ours = {one.id for one in known.streams if one.instance_id == instance}
    for id_ in vault.groups(replace(whole, prefix=f"{group}/")):
        if id_ not in ours and _is_id(id_):
            place = replace(whole, prefix=archives.prefix(instance, id_))
            yield Stray(ARCHIVE, id_, UNKNOWN, place, storage)


def _torn(vaults: Mapping[str, Vault], one: KeptStream) -> Iterator[Stray]:
    """Give a stream of which an object is missing that somebody may need."""
    if one.is_at_work or one.last < one.first:
        return
    place = Place(one.account, one.container, archives.prefix(one.instance_id, one.id))
    try:
        archives.covering(_vault(vaults, one.storage).listing(place), one.first, one.last)
    except errors.Failed as error:
        yield Stray(ARCHIVE, one.id, error.text, place, one.storage)


def _incomplete(vaults: Mapping[str, Vault], one: Kept) -> Iterator[Stray]:
    if one.status is not BackupStatus.COMPLETED or one.is_at_work:
        return
    place = Place(one.account, one.container, prefix(one.id))
    for problem in _missing(_vault(vaults, one.storage), place, one):
        yield Stray(BACKUP, one.id, problem, place, one.storage)


def _missing(vault: Vault, place: Place, one: Kept) -> Iterator[str]:
    try:
        content = vault.get(place, MANIFEST, LARGEST_MANIFEST)
        manifest = read_manifest(content)
    except errors.NotFound:
        yield "its manifest is missing"
        return
    except (errors.Failed, errors.Invalid):
        yield "its manifest is damaged"
        return
    if hashlib.sha256(content).hexdigest() != one.manifest_sha256:
        yield "its manifest is not the one that was written"
        return
    listing = vault.listing(place)
    for segment in manifest.segments:
        there = listing.get(segment.name)
        if there is None:
            yield f"segment {segment.name} is missing"
        elif there.size != segment.size:
            yield f"segment {segment.name} has {there.size} bytes, not {segment.size}"


def _vault(vaults: Mapping[str, Vault], storage: str) -> Vault:
    if storage not in vaults:
        raise errors.Invalid(
            f"there are backups in the storage '{storage}', which [backups] more_storages lacks"
        )
    return vaults[storage]


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
