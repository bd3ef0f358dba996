"""Small objects of an archive are merged by its guest, and go when what they hold is stored anew.

A restore that began before goes on with those that it knows: they go when it has ended.
"""

from dataclasses import dataclass

from dbaas.catalog import archives
from dbaas.contract import archives as names
from dbaas.contract import errors
from dbaas.contract.messages import Grant, MergeOrder, Segment
from dbaas.contract.operations import Operation
from dbaas.contract.requests import CompactArchive
from dbaas.contract.secret import Secret
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable, Wait
from dbaas.taskmanager.steps import storing, streams
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

GRANTED = HOUR
"""Seconds for which a guest may read and write what it merges."""
RUNS = 4
"""Rows of objects that one operation merges: the next one comes soon where there are more."""
PAUSE = 30.0


@dataclass
class Merge:
    """One row: what is given for it, and what became of it."""

    run: str
    read: Grant
    write: Grant
    stored: Segment | None = None


@dataclass
class Compaction:
    instance_id: str
    stream: str
    upto: int = 0
    key: Secret | None = None
    merges: tuple[Merge, ...] = ()
    more: bool = False
    """Whether there are more rows than it merges."""


def begin(op: Operation, request: CompactArchive) -> Compaction:
    return Compaction(op.instance_id, request.stream)


def choose_objects(op: Compaction, tools: Toolbox) -> None:
    services: Services = tools.services
    stream = streams.show(op.stream, services)
    if stream is None or stream.report is None:
        return
    vault, place = services.vault(stream.storage), streams.place(stream)
    sizes = {name: stored.size for name, stored in vault.listing(place).items()}
    found = names.mergeable(sizes, stream.report.sequence)
    runs, op.more = found[:RUNS], len(found) > RUNS
    op.upto = runs[-1].last if op.more else stream.report.sequence
    op.key = services.sealer.show(stream.data_key)
    op.merges = tuple(
        Merge(
            names.write_run(run),
            vault.grant(place, "GET", run.names, GRANTED),
            vault.grant(place, "PUT", [names.merged_name(run.first, run.last)], GRANTED),
        )
        for run in runs
    )


def merge_objects(op: Compaction, tools: Toolbox) -> None:
    for merge in op.merges:
        run = names.read_run(merge.run)
        if op.key is None:
            raise errors.Failed("The archive has no key.")
        order = MergeOrder(
            instance=op.instance_id,
            stream=op.stream,
            key=op.key,
            first=run.first,
            last=run.last,
            read=merge.read,
            write=merge.write,
        )
        merge.stored = tools.guest(op.instance_id).merge_archive(order)


def see_what_is_stored(op: Compaction, tools: Toolbox) -> None:
    """Raise `Failed` unless the storage has what the guest says that it stored."""
    services: Services = tools.services
    stream = streams.show(op.stream, services)
    if stream is None or not op.merges:
        return
    listing = services.vault(stream.storage).listing(streams.place(stream))
    for merge in op.merges:
        if merge.stored is None:
            raise errors.Failed("The guest merged nothing.")
        storing.check_listed(merge.stored, listing, "object")


def delete_merged_objects(op: Compaction, tools: Toolbox) -> None:
    """Have what was merged only once, as soon as nobody reads it the other way."""
    services: Services = tools.services
    stream = streams.show(op.stream, services)
    if stream is None or not op.merges:
        return
    if services.catalog.read(lambda unit: archives.is_read(unit, op.instance_id)):
        raise Wait(PAUSE)
    vault, place = services.vault(stream.storage), streams.place(stream)
    going = [name for merge in op.merges for name in names.read_run(merge.run).names]
    tools.effect(lambda: vault.remove(place, going))


def record_compaction(op: Compaction, tools: Toolbox) -> None:
    age = HOUR if op.more else 0.0
    tools.write(lambda unit: archives.compacted(unit, op.stream, op.upto, age))


COMPACT_ARCHIVE = Flow(
    "compact_archive",
    CompactArchive,
    Compaction,
    begin,
    (
        Step(choose_objects, deadline=HOUR / 4),
        Step(merge_objects, deadline=HOUR),
        Step(see_what_is_stored, deadline=storing.APPEARS),
        Step(delete_merged_objects, deadline=6 * HOUR),
        Step(record_compaction),
    ),
    deadline=9 * HOUR,
    unreachable=Unreachable.GO_ON,  # what it may still store is another name for what is there
    moves_instance=False,
)
