"""What the audit finds in a storage, and what of it is removed."""

import hashlib
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.catalog.stored import Kept, KeptStream
from dbaas.contract import archives, errors
from dbaas.contract.archives import Run
from dbaas.contract.backups import (
    MANIFEST,
    BackupStatus,
    Manifest,
    prefix,
    segment_name,
    write_manifest,
)
from dbaas.contract.messages import Segment
from dbaas.contract.secret import Secret
from dbaas.manage import stored
from dbaas.manage.stored import Known
from dbaas.strategies.grants.base import Place, Vault
from dbaas.strategies.grants.local import LocalVault

KEY = Secret("ab" * 32)


@pytest.fixture
def vaults(tmp_path: Path) -> dict[str, Vault]:
    return {"local": LocalVault(tmp_path, "http://127.0.0.1:9", KEY)}


def backup(vaults: dict[str, Vault], status: BackupStatus = BackupStatus.COMPLETED) -> Kept:
    """Store a backup of two segments; return what the catalog says of it."""
    one = Kept(str(uuid.uuid4()), status, "local", "p", "c", None, False, False)
    vault, place = vaults["local"], place_of(one)
    vault.ensure(place)
    segments = [Segment(segment_name(n), n, "") for n in (1, 2)]
    for segment in segments:
        vault.put(place, segment.name, bytes(segment.size))
    manifest = Manifest(
        *(one.id, "", "mariadb", "11.8.2", "mariabackup"),
        *(tuple(segments), 100, 100, 1e9, None),
    )
    content = write_manifest(manifest, KEY)
    vault.put(place, MANIFEST, content)
    return replace(one, manifest_sha256=hashlib.sha256(content).hexdigest())


def place_of(one: Kept) -> Place:
    return Place(one.account, one.container, prefix(one.id))


def problems(vaults: dict[str, Vault], *kept: Kept) -> dict[str, str]:
    return {stray.id: stray.problem for stray in stored.compare(vaults, Known(kept, []))}


def test_what_is_whole_and_what_is_still_being_made_is_no_difference(
    vaults: dict[str, Vault],
) -> None:
    making = backup(vaults, BackupStatus.BUILDING)
    assert problems(vaults, backup(vaults), making) == {}


def test_a_backup_that_misses_an_object_or_has_another_is_named(
    vaults: dict[str, Vault], tmp_path: Path
) -> None:
    short, lost, bare, other, torn = kept = [backup(vaults) for _ in range(5)]
    vault = vaults["local"]
    vault.put(place_of(short), "00000002", b"x")
    (tmp_path / "p" / "c" / lost.id / "00000001").unlink()
    vault.delete(place_of(bare))
    vault.put(place_of(other), MANIFEST, vault.get(place_of(short), MANIFEST, 10000))
    vault.put(place_of(torn), MANIFEST, b"{")
    assert problems(vaults, *kept) == {
        short.id: "segment 00000002 has 1 bytes, not 2",
        lost.id: "segment 00000001 is missing",
        bare.id: "its manifest is missing",
        other.id: "its manifest is not the one that was written",
        torn.id: "its manifest is damaged",
    }


@pytest.mark.parametrize("status", [BackupStatus.FAILED, BackupStatus.DELETED])
def test_what_gone_backups_left_is_removed_once_nobody_is_at_it(
    vaults: dict[str, Vault], status: BackupStatus
) -> None:
    left, granted, worked_at, whole = (
        backup(vaults, status),
        replace(backup(vaults, status), is_granted=True),
        replace(backup(vaults, status), is_at_work=True),
        backup(vaults),
    )
    kept = [left, granted, worked_at, whole]
    strays = stored.compare(vaults, Known(kept, []))
    assert [(stray.id, stray.is_ours) for stray in strays] == [(left.id, True)]
    assert list(stored.remove_all(vaults, strays)) == strays
    assert stored.compare(vaults, Known(kept, [])) == []
    there = set(vaults["local"].groups(Place("p", "c", "")))
    assert there == {granted.id, worked_at.id, whole.id}


def test_what_the_catalog_never_knew_is_named_and_not_ours(vaults: dict[str, Vault]) -> None:
    ours, foreign = backup(vaults), backup(vaults)
    vaults["local"].put(Place("p", "c", "photos/"), "cat.jpeg", b"")
    (stray,) = stored.compare(vaults, Known([ours], []))
    assert (stray.id, stray.problem, stray.is_ours) == (foreign.id, stored.UNKNOWN, False)


def test_what_changed_meanwhile_is_looked_at_another_time(vaults: dict[str, Vault]) -> None:
    ours, new = backup(vaults), backup(vaults)
    strays = stored.compare(vaults, Known([ours], []))
    assert stored.still(strays, Known([ours], []), Known([ours], [])) == strays
    assert stored.still(strays, Known([ours], []), Known([ours, new], [])) == []


def test_a_storage_that_is_not_configured_any_more_is_named(vaults: dict[str, Vault]) -> None:
    elsewhere = replace(backup(vaults), storage="tape")
    with pytest.raises(errors.Invalid, match=r"'tape', which \[backups\] more_storages lacks"):
        stored.compare(vaults, Known([elsewhere], []))


def stream(vaults: dict[str, Vault], *runs: Run, first: int = 1, last: int = 4) -> KeptStream:
    """Store objects of an archive; return what the catalog says of it."""
    one = KeptStream(
        *(str(uuid.uuid4()), str(uuid.uuid4()), "local", "p", "c", first), last, is_at_work=False
    )
    place = Place("p", "c", archives.prefix(one.instance_id, one.id))
    vaults["local"].ensure(place)
    for run in runs:
        for name in run.names:
            vaults["local"].put(place, name, b"")
    return one


def test_streams_of_archives_are_compared_as_well(vaults: dict[str, Vault]) -> None:
    whole = stream(vaults, Run(1, 2), Run(3, 6, merged=True))
    pruned = stream(vaults, Run(3, 4), first=3)
    empty = stream(vaults, last=0)
    torn = stream(vaults, Run(1, 2), Run(4, 4))
    busy = replace(torn, is_at_work=True)
    unknown = stream(vaults, Run(1, 1), last=1)
    ours = [whole, pruned, empty, torn]
    found = stored.compare(vaults, Known([], ours))
    assert {(stray.kind, stray.id, stray.problem, stray.is_ours) for stray in found} == {
        (stored.ARCHIVE, torn.id, "object 0000000003 of the archive is missing", False),
        (stored.ARCHIVE, unknown.id, stored.UNKNOWN, False),
    }
    assert stored.compare(vaults, Known([], [whole, pruned, empty, busy, unknown])) == []
    later = Known([], [whole, pruned, empty, replace(torn, last=9), unknown])
    assert [one.id for one in stored.still(found, Known([], ours), later)] == [torn.id]
    moved = Known([], [replace(torn, first=4), unknown])
    assert stored.still(found, Known([], ours), moved) == []
