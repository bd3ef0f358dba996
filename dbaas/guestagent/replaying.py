"""Play an archive on data that was just restored: fetched object by object, and verified."""

from collections.abc import Callable, Iterator
from pathlib import Path

from dbaas.contract import archives, errors
from dbaas.contract.archives import Run
from dbaas.contract.messages import ArchiveReplay
from dbaas.engines.base import Engine
from dbaas.guestagent.transfers import Transfer
from dbaas.strategies import registry
from dbaas.strategies.archive import pieces
from dbaas.strategies.archive.base import ArchiveStrategy, Goal, Spot
from dbaas.strategies.archive.pieces import Piece
from dbaas.strategies.segments import Courier
from dbaas.strategies.storage.base import Leave

LARGEST = 160 << 20
"""Bytes that an object may have."""

Check = Callable[[], None]


def play(
    order: ArchiveReplay,
    engine: Engine,
    data: Path,
    transfer: Transfer,
    check: Check,
    memory_mib: int,
    tell: Check = lambda: None,
) -> float:
    """Return when the last transaction that was played was committed, or 0 if there was none.

    Raise `Failed` naming an object that is damaged, missing or another's. `tell` is called when
    other leave is needed.
    """
    strategy: ArchiveStrategy = registry.load("archive", order.strategy)(engine)
    connect = registry.load("storage", order.grant.storage)
    leave = Leave(order.grant, tell)
    courier = Courier(connect, leave, order.stream, check)
    transfer.leave, transfer.backup = leave, order.stream
    runs = [archives.read_run(text) for text in order.runs]
    file, _, offset = order.begin.rpartition(":")
    if not offset.isdecimal():
        raise errors.Invalid(f"{order.begin[:64]!r} is no place in a log")
    goal = Goal(Spot(file, int(offset)), order.until, memory_mib)
    try:
        return strategy.play(data, _fetched(order, runs, leave, courier), goal, check)
    finally:
        courier.close()


def _fetched(
    order: ArchiveReplay, runs: list[Run], leave: Leave, courier: Courier
) -> Iterator[Piece]:
    objects = [each for run in runs for each in run.objects]
    names = {position: name for position, each in enumerate(objects, 1) for name in each.names}
    buffer = memoryview(bytearray(1 << 20))
    for position, each in enumerate(objects, 1):
        leave.look_ahead(position, names.__getitem__, len(objects))
        name = names[position]
        try:
            content, buffer = _whole(courier, name, position, buffer)
        except errors.NotFound:
            raise errors.Failed(f"object {name} of the archive is missing") from None
        yield from pieces.opened(order.key, order.instance, order.stream, each, content)


def _whole(
    courier: Courier, name: str, position: int, buffer: memoryview
) -> tuple[memoryview, memoryview]:
    """Return an object, and the buffer that it is in: a larger one where it had to be."""
    while True:
        try:
            size = courier.get(name, position, buffer)
        except errors.Failed:
            if len(buffer) >= LARGEST:
                raise
            buffer = memoryview(bytearray(min(LARGEST, 4 * len(buffer))))
        else:
            return buffer[:size], buffer
