"""What is due of archives: operations that begin, carry on and sweep them."""

from collections.abc import Sequence
from contextlib import suppress

from dbaas.catalog import archive_needs, archives, datastores, instances, operations
from dbaas.catalog.archives import Due, StreamRecord
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.requests import CompactArchive, PruneArchive, SetArchiving, SweepArchive

BATCH = 100
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
        with suppress(errors.NotFound):
            instances.lock(unit, due.instance_id)  # its tenant may just have switched it off
            if archives.wanting(unit, MARGIN, 1, due.instance_id):
                _ask(unit, sealer, due, "set_archiving", wanted)


def _ids(unit: Unit, versions: Sequence[str]) -> list[str]:
    return [
        version.id
        for store in datastores.everything(unit)
        for version in store.versions
        if {store.name, f"{store.name}/{version.name}"} & set(versions)
    ]


def compact(unit: Unit, sealer: Sealer, every: float) -> None:
    """Ask for the compaction of each stream that had none for that many seconds."""
    for due in archives.compactable(unit, every, BATCH):
        _begin(unit, sealer, due, "compact_archive", CompactArchive(due.stream_id))
        archives.compaction_asked(unit, due.stream_id)


def prune(unit: Unit, sealer: Sealer, every: float) -> None:
    """Ask that what no backup can be rolled forward by goes, of each stream after that many
    seconds."""
    for due in archives.unpruned(unit, every, BATCH):
        stream = archives.show(unit, due.stream_id)
        if stream is not None:
            _prune(unit, sealer, due, stream)


def _prune(unit: Unit, sealer: Sealer, due: Due, stream: StreamRecord) -> None:
    """Where somebody restores, all stays as it is: there is another time."""
    first = archive_needs.needed_from(stream, archive_needs.bases(unit, stream.instance_id))
    is_read = archives.is_read(unit, stream.instance_id)
    archives.looked_at(unit, stream.id, stream.needed_from if is_read else first or 1)
    if is_read:
        return
    if first is None:
        if not stream.granted:
            _begin(unit, sealer, due, "sweep_archive", SweepArchive(stream.id))
    elif first > stream.pruned_to + 1:
        _begin(unit, sealer, due, "prune_archive", PruneArchive(stream.id, first))


def _begin(unit: Unit, sealer: Sealer, due: Due, kind: str, body: object) -> None:
    """Ask for what only one operation may be at, of all that take objects away or put others."""
    archives.in_hand(unit, due.stream_id, _ask(unit, sealer, due, kind, body))


def _ask(unit: Unit, sealer: Sealer, due: Due, kind: str, body: object) -> str:
    request = operations.Request(
        kind=kind,
        instance_id=due.instance_id,
        project_id=due.project_id,
        user_id=due.user_id,
        request_id="",
        body=body,
    )
    return operations.accept(unit, request, sealer)
