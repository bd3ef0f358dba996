"""Long statements of MariaDB's binary log as several short ones, for whoever plays it.

mariadb-binlog makes one statement of all rows that a statement of the log has changed, and the
server needs nine times its size in memory for that, which a guest may not have. A transaction stays
what it was; only in it more statements end.

Facts are from the MariaDB documentation, "Replication Protocol": "TABLE_MAP_EVENT", "Rows Event".
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from dbaas.contract import errors
from dbaas.strategies.archive.events import CHUNK, HEADER, Kind, describe

MOST = 1 << 20
"""Bytes of rows after which a statement ends; as many more as one event has."""

_ROWS = (*range(23, 26), *range(30, 33), *range(166, 172))
"""Rows that are written, changed and deleted: of both versions, plain and compressed."""
_CHECKSUM = struct.Struct("<I")
_FLAGS_AT = HEADER.size + 6
_TABLE_AT = HEADER.size + 8
_ENDS_STATEMENT = 0x1


def shortened(file: BinaryIO, most: int = MOST) -> Iterator[bytes]:
    """Yield a log with its long statements cut; raise `Failed` for what is none."""
    description = describe(file)
    if description is None:
        raise errors.Failed("the binary log is damaged: it does not begin as one")
    file.seek(0)
    ready = [file.read(description.begin)]
    maps: list[bytes] = []
    waiting = size = 0
    for kind, event in _events(file):
        ready.append(event)
        waiting += len(event)
        if kind == Kind.TABLE_MAP:
            _check_names(event)
            maps.append(event)
        elif kind == Kind.GTID or (kind in _ROWS and event[_FLAGS_AT] & _ENDS_STATEMENT):
            maps, size = [], 0
        elif kind in _ROWS:
            size += len(event)
            if size >= most:
                ready[-1] = _ending(event, checksums=description.checksums)
                ready += maps  # which tables there are is known until a statement's end
                size = 0
        if waiting >= CHUNK:
            yield b"".join(ready)
            ready, waiting = [], 0
    yield b"".join(ready)


def _events(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the kind of each event, and all of it."""
    rest = b""
    wanted = CHUNK
    while some := file.read(wanted):
        rest += some
        at = length = 0
        while len(rest) - at >= HEADER.size:
            _, kind, _, length, _, _ = HEADER.unpack_from(rest, at)
            if length < HEADER.size:
                raise errors.Failed("the binary log is damaged: it has an event without a head")
            if length > len(rest) - at:
                break
            yield kind, rest[at : at + length]
            at += length
        rest = rest[at:]
        wanted = max(CHUNK, length - len(rest))
    if rest:
        raise errors.Failed("the binary log is damaged: it is cut off")


def _check_names(table_map: bytes) -> None:
    """Raise `Failed` for names with a line break.

    mariadb-binlog (11.8) has them in a comment of one line, and what comes after the break would be
    run, by who may do everything.
    """
    at = _TABLE_AT
    names = []
    for _ in range(2):
        end = at + 1 + table_map[at]
        names.append(table_map[at + 1 : end])
        at = end + 1
    if any(b"\n" in name for name in names):
        told = ".".join(name.decode(errors="replace") for name in names)
        raise errors.Failed(f"the table {told!r} has a line break in its name")


def _ending(event: bytes, *, checksums: bool) -> bytes:
    """Return rows that end a statement."""
    made = bytearray(event)
    made[_FLAGS_AT] |= _ENDS_STATEMENT
    if checksums:
        body = memoryview(made)[: -_CHECKSUM.size]
        _CHECKSUM.pack_into(made, len(body), zlib.crc32(body))
    return bytes(made)
