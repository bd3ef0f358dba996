"""What is due of archives: operations that begin, carry on and sweep them."""

from collections.abc import Sequence

from dbaas.catalog import archives, datastores, operations
from dbaas.catalog.archives import Due
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract.requests import CompactArchive, SetArchiving, SweepArchive

BATCH = 100
COMPACTED_EVERY = 3600.0
"""Seconds after which a stream's small objects are merged again."""
MARGIN = 3 * 3600.0
"""Seconds before the end of a guest's leave, by which it gets another."""


def attend(unit: Unit, sealer: Sealer, versions: Sequence[str]) -> None:
    """Ask for what each archive needs now.

    `versions`: datastores, or versions of them as `mariadb/11.8`, whose instances have one without
    being asked.
    """
    wanted = SetArchiving(enabled=True)
    if versions:
        for due in archives.never_archived(unit, _ids(unit, versions), BATCH):
            _ask(unit, sealer, due, "set_archiving", wanted)
    for due in archives.wanting(unit, MARGIN, BATCH):
        _ask(unit, sealer, due, "set_archiving", wanted)


def _ids(unit: Unit, versions: Sequence[str]) -> list[str]:
    return [
        version.id
        for store in datastores.everything(unit)
        for version in store.versions
        if {store.name, f"{store.name}/{version.name}"} & set(versions)
    ]


def compact(unit: Unit, sealer: Sealer) -> None:
    """Ask for the compaction of each stream once an hour."""
    for due in archives.compactable(unit, COMPACTED_EVERY, BATCH):
        _ask(unit, sealer, due, "compact_archive", CompactArchive(due.stream_id))


def sweep(unit: Unit, sealer: Sealer) -> None:
    """Ask for the end of each stream that nothing can be rolled forward by."""
    for due in archives.unneeded(unit, BATCH):
        _ask(unit, sealer, due, "sweep_archive", SweepArchive(due.stream_id))


def _ask(unit: Unit, sealer: Sealer, due: Due, kind: str, body: object) -> None:
    request = operations.Request(
        kind=kind,
        instance_id=due.instance_id,
        project_id=due.project_id,
        user_id=due.user_id,
        request_id="",
        body=body,
    )
    operation_id = operations.accept(unit, request, sealer)
    if due.stream_id:
        archives.in_hand(unit, due.stream_id, operation_id)
