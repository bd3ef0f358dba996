"""Make one object of an archive out of many small ones: fetched, verified, and stored again."""

import hashlib
from collections.abc import Callable, Iterator

from dbaas.contract import archives, errors
from dbaas.contract.archives import Run
from dbaas.contract.messages import Grant, MergeOrder, Segment
from dbaas.contract.secret import Secret
from dbaas.strategies import registry
from dbaas.strategies.archive import pieces
from dbaas.strategies.archive.pieces import Piece
from dbaas.strategies.storage import base
from dbaas.strategies.storage.base import Refused, Storage

LARGEST = archives.MERGED_SIZE + (1 << 20)
"""Bytes that one of them may have."""

Check = Callable[[], None]


def merge(order: MergeOrder, check: Check) -> Segment:
    """Return what was stored; `check` raises when it is not wanted any more."""
    storage: Storage = registry.load("storage", order.read.storage)(order.read.authority)
    try:
        name = pieces.identity(order.stream, order.first, order.last)
        content = pieces.seal(order.key, name, _fetched(order, storage, check))
        return _stored(order, storage, content)
    except Refused as error:
        raise errors.Unavailable(f"the storage refuses it: {error}") from error
    finally:
        storage.close()


def _fetched(order: MergeOrder, storage: Storage, check: Check) -> Iterator[Piece]:
    buffer = memoryview(bytearray(LARGEST))
    for number in range(order.first, order.last + 1):
        check()
        name = archives.single_name(number)
        try:
            size = storage.get(_url(order.read, name), buffer)
        except errors.NotFound:
            raise errors.Failed(f"object {name} of the archive is missing") from None
        run = Run(number, number)
        yield from pieces.opened(order.key, order.instance, order.stream, run, buffer[:size])


def _stored(order: MergeOrder, storage: Storage, content: bytes) -> Segment:
    name = archives.merged_name(order.first, order.last)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if storage.tells_md5 else ""
    segment = Segment(name, len(content), hashlib.sha256(content).hexdigest(), md5)
    storage.put(_url(order.write, name), segment, memoryview(content))
    return segment


def _url(grant: Grant, name: str) -> Secret:
    url = base.url(grant, name)
    if url is None:
        raise errors.Unavailable(f"there is no leave for object {name}")
    return url
