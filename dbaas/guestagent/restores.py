"""Restore a chain of backups: from storage, verified, decrypted, through the engine's strategy."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dbaas.contract import backups, errors
from dbaas.contract.backups import Manifest
from dbaas.contract.messages import ArchiveReplay, Restored, RestoreOrder, RestorePart
from dbaas.engines.base import Engine
from dbaas.guestagent.transfers import Transfer
from dbaas.strategies import packing, registry, sealed, segments
from dbaas.strategies.restore import base
from dbaas.strategies.restore.base import Bytes, Layout, RestoreStrategy
from dbaas.strategies.segments import Courier
from dbaas.strategies.storage.base import Leave

Check = Callable[[], None]

LARGEST_MANIFEST = 1 << 20
PLAIN_PART = 8 << 20
"""Bytes that are fetched at once of a stream that has no segments."""


@dataclass(frozen=True)
class Tools:
    """What all parts of one restore use. `tell` is called when other leave is needed."""

    transfer: Transfer
    check: Check
    tell: Check
    leaves: dict[str, Leave] = field(default_factory=dict)
    """By backup: what was renewed once is not asked for again."""

    @contextmanager
    def courier(self, part: RestorePart) -> Iterator[tuple[Courier, Leave]]:
        """Give what fetches this backup's objects, as long as the context lasts."""
        leave = self.leaves.setdefault(part.backup, Leave(part.grant, self.tell))
        connect = registry.load("storage", part.grant.storage)
        courier = Courier(connect, leave, part.backup, self.check)
        self.transfer.leave, self.transfer.backup = leave, part.backup
        try:
            yield courier, leave
        finally:
            courier.close()


def restore(order: RestoreOrder, engine: Engine, volume_free: int, tools: Tools) -> Restored:
    """Lay it all out, or leave nothing. `volume_free`: bytes that there is room for."""
    began = time.monotonic()
    chain = [(part, _manifest(part, tools)) for part in order.parts]
    if not chain:
        raise errors.Invalid("there is no backup to restore")
    strategy: RestoreStrategy = registry.load("restore", _strategy(order.parts))(engine)
    known = [manifest for _, manifest in chain if manifest]
    _check_chain(order, chain)
    if order.replay is not None and not strategy.physical:
        raise errors.Invalid("an archive is played on a backup of files only")
    for each in known:
        base.check_version(each.engine_version, order.version, physical=strategy.physical)
    _check_room(known, volume_free)
    data = sum(manifest.data_size for manifest in known)
    stored = sum(segment.size for manifest in known for segment in manifest.segments)
    tools.transfer.total = lambda: data
    with strategy.begin(order.memory_mib, tools.check) as layout:
        if stored:
            tools.transfer.done = lambda: data * tools.transfer.stored() // stored
        else:
            tools.transfer.done = layout.done
        for part, manifest in chain:
            _unpack(part, manifest, layout, tools)
        replayed = 0.0

        def complete(directory: Path) -> None:
            nonlocal replayed
            if order.replay is not None:
                replayed = _replay(order.replay, order, engine, directory, tools)

        size = layout.finish(complete)
    return Restored(size, time.monotonic() - began, replayed)


def _replay(
    replay: ArchiveReplay, order: RestoreOrder, engine: Engine, data: Path, tools: Tools
) -> float:
    """Return when the last transaction that was played was committed; 0: there was none."""
    from dbaas.guestagent import replaying

    return replaying.play(
        replay, engine, data, tools.transfer, tools.check, order.memory_mib, tools.tell
    )


def _strategy(parts: Sequence[RestorePart]) -> str:
    names = {part.strategy for part in parts}
    if len(names) != 1:
        raise errors.Invalid("a chain of backups is restored by one strategy")
    return names.pop()


def _manifest(part: RestorePart, tools: Tools) -> Manifest | None:
    """Fetch and verify a backup's manifest; None where it has none. Raise `Failed`."""
    if part.plain:
        return None
    if part.key is None:
        raise errors.Invalid(f"there is no key of backup {part.backup}")
    buffer = memoryview(bytearray(LARGEST_MANIFEST))
    with tools.courier(part) as (courier, _):
        try:
            content = bytes(buffer[: courier.get(backups.MANIFEST, 1, buffer)])
        except errors.NotFound as error:
            raise errors.Failed(f"the manifest of backup {part.backup} is missing") from error
    told = f"the manifest of backup {part.backup} is damaged, or another's"
    if part.manifest_sha256 and hashlib.sha256(content).hexdigest() != part.manifest_sha256:
        raise errors.Failed(f"{told}: it is not the one that was stored")
    try:
        manifest = backups.read_manifest(content)
        backups.check_manifest(manifest, part.key)
    except errors.Failed as error:
        raise errors.Failed(f"{told}: {error.text}") from error
    if manifest.backup != part.backup:
        raise errors.Failed(f"{told}: it names {manifest.backup[:64]!r}")
    return manifest


def _check_chain(order: RestoreOrder, chain: Sequence[tuple[RestorePart, Manifest | None]]) -> None:
    """Raise `Failed` unless each backup builds on the one before it."""
    before = ""
    for number, (part, manifest) in enumerate(chain):
        parent = manifest.parent if manifest else ""
        if parent != before:
            on = f"on backup {parent}" if parent else "on none"
            raise errors.Failed(
                f"backup {part.backup} builds {on}, and cannot be number {number + 1} of the chain"
            )
        if manifest and (manifest.engine, manifest.strategy) != (order.engine, part.strategy):
            raise errors.Failed(
                f"backup {part.backup} is one of {manifest.engine} by {manifest.strategy}"
            )
        before = part.backup


def _check_room(known: Sequence[Manifest], free: int) -> None:
    needed = max((manifest.restored_size for manifest in known), default=0)
    if needed > free:
        raise errors.Failed(
            f"the volume has room for {free >> 20} MiB, and what is restored needs"
            f" {needed >> 20} MiB"
        )


def _unpack(part: RestorePart, manifest: Manifest | None, layout: Layout, tools: Tools) -> None:
    with tools.courier(part) as (courier, leave):
        if manifest is None or part.key is None:
            packed = packing.packed_with(part.plain)
            _named(part, layout, _plain(part, courier, tools), packed)
            return
        verified = segments.fetched(courier, leave, part.backup, manifest.segments, tools.check)
        counted = _counted(verified, tools.transfer)
        _named(part, layout, sealed.unseal(part.key, part.backup, counted), "zst")


def _named(part: RestorePart, layout: Layout, contents: Iterator[Bytes], packed: str) -> None:
    """Have the backup's name in what is said of a program that cannot read it."""
    try:
        layout.unpack(contents, packed)
    except errors.Failed as error:
        if part.backup in error.text:
            raise
        raise errors.Failed(f"backup {part.backup} cannot be restored: {error.text}") from error


def _counted(pieces: Iterator[memoryview], transfer: Transfer) -> Iterator[memoryview]:
    before = transfer.stored()
    for piece in pieces:
        before += len(piece)
        transfer.stored = lambda total=before: total  # type: ignore[misc]  # a value kept
        yield piece


def _plain(part: RestorePart, courier: Courier, tools: Tools) -> Iterator[memoryview]:
    """Yield the one object of a backup of another system, as it is: nothing proves it."""
    buffer = memoryview(bytearray(PLAIN_PART))
    begin, whole = 0, 1
    while begin < whole:
        tools.check()
        try:
            count, whole = courier.part(part.plain, buffer, begin)
        except errors.NotFound as error:
            raise errors.Failed(f"the object of backup {part.backup} is missing") from error
        if not count:
            raise errors.Failed(f"the object of backup {part.backup} is cut off")
        yield from _counted(iter([buffer[:count]]), tools.transfer)
        begin += count
