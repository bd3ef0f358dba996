"""Backups as the catalog has them, for tests of who reads them: nothing is stored of them."""

import itertools
from dataclasses import replace
from typing import Any

from dbaas.catalog import backups
from dbaas.catalog.records import NewBackup
from dbaas.catalog.unit import Unit
from dbaas.contract.messages import Segment, StoredBackup

STORED = StoredBackup(
    segments=(Segment("00000001", 70, "aa"), Segment("00000002", 30, "bb")),
    data_size=200,
    restored_size=400,
    taken_at=1_795_000_000.5,
    engine_version="11.8.3",
    seconds=2.5,
    position={"lsn": "17"},
)
_numbers = itertools.count(1)


def new(**values: Any) -> NewBackup:
    plain = NewBackup(
        id=f"backup-{next(_numbers):05}",
        project_id="p",
        user_id="u",
        name="nightly",
        description=None,
        instance_id="0" * 36,
        datastore_version_id="v",
        strategy="mariabackup",
        storage="swift",
        container="c",
    )
    return replace(plain, **values)


def write(unit: Unit, one: NewBackup, *, complete: bool = True) -> None:
    """Write one that was begun and, unless told otherwise, is complete."""
    backups.add(unit, one)
    backups.begin(unit, one.id, {"$sealed": "x"}, "AUTH_p", 60)
    if complete:
        backups.complete(unit, one.id, STORED, "ff", "http://swift/manifest")
