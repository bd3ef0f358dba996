"""What is played on a backup that is restored to a moment: the objects of an archive, and leave to
read them."""

from dbaas.catalog import archive_needs
from dbaas.catalog.archives import StreamRecord
from dbaas.catalog.records import BackupRecord
from dbaas.contract import archives as names
from dbaas.contract import errors
from dbaas.contract.messages import ArchiveReplay, Grant
from dbaas.contract.requests import RestoreFrom
from dbaas.taskmanager.steps import streams
from dbaas.taskmanager.steps.services import Services

GRANTED = 900.0
"""Seconds for which a guest may read what it was granted; it asks for more when it needs it."""
AHEAD = 128
"""Objects for which a guest has leave in advance, where each needs its own."""


def order(restore: RestoreFrom, base: BackupRecord, services: Services) -> ArchiveReplay | None:
    """Return what is to be played; None where a backup alone is restored."""
    if restore.until is None:
        return None
    stream = streams.show(restore.stream, services)
    if stream is None or stream.report is None:
        raise errors.Failed("The archive that is needed to go back to that time is gone.")
    position = base.position or {}
    if "binlog" not in position:
        raise errors.Failed("The backup does not say where in the log it is.")
    if stream.report.until < restore.until:
        raise errors.Unavailable("How far the archive is that is needed is not known just now.")
    found = services.vault(stream.storage).listing(streams.place(stream))
    first = archive_needs.first_object(stream, base.reached)
    runs = names.covering(found, first, stream.report.sequence)
    return ArchiveReplay(
        strategy=stream.strategy,
        instance=stream.instance_id,
        stream=stream.id,
        key=services.sealer.show(stream.data_key),
        grant=_grant(stream, tuple(names.write_run(run) for run in runs), 1, services),
        runs=tuple(names.write_run(run) for run in runs),
        begin=position["binlog"],
        until=restore.until,
    )


def renewed(replay: ArchiveReplay, wants: int, services: Services) -> Grant:
    """Return leave to read on from that object on."""
    stream = streams.show(replay.stream, services)
    if stream is None:
        raise errors.Failed("The archive is gone.")
    return _grant(stream, replay.runs, wants, services)


def _grant(stream: StreamRecord, runs: tuple[str, ...], first: int, services: Services) -> Grant:
    wanted = [name for run in runs for name in names.read_run(run).names]
    near = wanted[first - 1 : first - 1 + AHEAD]
    return services.vault(stream.storage).grant(streams.place(stream), "GET", near, GRANTED)
