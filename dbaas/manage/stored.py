"""The audit of storages: do they have the objects of our backups, and of no other?"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dbaas.catalog.stored import Kept
from dbaas.contract import errors
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


@dataclass(frozen=True)
class Stray:
    """A backup on which the storage and the catalog differ."""

    backup: str
    problem: str
    place: Place
    storage: str

    @property
    def is_ours(self) -> bool:
        """Whether its objects may be removed."""
        return self.problem == LEFT


def compare(vaults: Mapping[str, Vault], kept: Iterable[Kept]) -> list[Stray]:
    """Compare both ways; what an operation is at, or somebody may still write to, is left out."""
    known = {one.id: one for one in kept}
    found = [stray for one in known.values() for stray in _incomplete(vaults, one)]
    places = {(one.storage, one.account, one.container) for one in known.values()}
    for storage, account, container in sorted(places):
        vault = _vault(vaults, storage)
        for backup in vault.backups(account, container):
            place = Place(account, container, prefix(backup))
            if problem := _problem(backup, known.get(backup)):
                found.append(Stray(backup, problem, place, storage))
    return found


def still(strays: Iterable[Stray], before: Iterable[Kept], now: Iterable[Kept]) -> list[Stray]:
    """Return those of which the catalog says what it said before the storage was looked at."""
    old, new = ({one.id: one for one in kept} for kept in (before, now))
    return [stray for stray in strays if old.get(stray.backup) == new.get(stray.backup)]


def remove_all(vaults: Mapping[str, Vault], left: Iterable[Stray]) -> Iterator[Stray]:
    """Delete the objects of each; give each that is gone. It may be repeated."""
    for stray in left:
        _vault(vaults, stray.storage).delete(stray.place)
        yield stray


def _problem(backup: str, known: Kept | None) -> str:
    if known is None:
        return UNKNOWN if _is_id(backup) else ""  # a tenant's own things are in his container, too
    is_over = known.status in _GONE and not known.is_at_work and not known.is_granted
    return LEFT if is_over else ""


def _incomplete(vaults: Mapping[str, Vault], one: Kept) -> Iterator[Stray]:
    if one.status is not BackupStatus.COMPLETED or one.is_at_work:
        return
    place = Place(one.account, one.container, prefix(one.id))
    for problem in _missing(_vault(vaults, one.storage), place, one):
        yield Stray(one.id, problem, place, one.storage)


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
