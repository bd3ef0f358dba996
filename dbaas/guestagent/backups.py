"""Take a backup: from the engine's strategy, encrypted, in segments, into storage."""

import time
from collections.abc import Callable, Iterator

from dbaas.contract.messages import BackupOrder, StoredBackup
from dbaas.engines.base import Engine
from dbaas.guestagent.transfers import Transfer
from dbaas.strategies import registry, sealed
from dbaas.strategies.backup.base import BackupStrategy, Stream, Taken
from dbaas.strategies.segments import Courier, Uploads
from dbaas.strategies.storage.base import Leave

Check = Callable[[], None]


def take(
    order: BackupOrder, engine: Engine, transfer: Transfer, check: Check, tell: Check
) -> StoredBackup:
    """Return what was stored. `tell` is called when other leave is needed."""
    began = time.monotonic()
    strategy: BackupStrategy = registry.load("backup", order.strategy)(engine)
    connect = registry.load("storage", order.grant.storage)
    with strategy.take(order.since, check) as stream:

        def both() -> None:
            check()
            stream.watch()

        leave = Leave(order.grant, tell)
        courier = Courier(connect, leave, order.backup, both)
        transfer.done, transfer.total = stream.done, lambda: stream.total
        transfer.leave, transfer.backup = leave, order.backup
        with Uploads(courier, leave, order.segment_size, both) as uploads:
            transfer.stored = lambda: uploads.stored
            source = _Source(stream)
            for piece in sealed.seal(order.key, order.backup, source):
                uploads.write(piece)
            stored = uploads.finish()
        taken = source.taken
    return StoredBackup(
        stored,
        taken.data_size,
        taken.restored_size,
        taken.taken_at,
        taken.engine_version,
        time.monotonic() - began,
        taken.position,
    )


class _Source:
    """The stream in parts, each of them good until the next one is asked for.

    It ends only when all is known to be well: what is sealed as a whole stream is one.
    """

    taken: Taken

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(sealed.FRAME))
        while count := self._stream.read(buffer):
            yield buffer[:count]
        self.taken = self._stream.taken()
