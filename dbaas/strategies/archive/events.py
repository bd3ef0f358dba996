"""MariaDB's binary log as bytes: where its events are, and where a transaction is complete.

Facts are from the MariaDB documentation, "Replication Protocol": "Binlog Event Header",
"FORMAT_DESCRIPTION_EVENT", "GTID_EVENT", "QUERY_EVENT", "XID_EVENT", "INCIDENT_EVENT".
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from dbaas.contract import errors

MAGIC = b"\xfebin"
HEADER = struct.Struct("<IBIIIH")
"""Time stamp, type, server, length, next position, flags."""
CHUNK = 1 << 20
"""Bytes that are looked at in one go."""
PROVING = 64
"""Bytes before a place that prove it: an event's checksum is among them, mostly."""
_CHECKSUM = 4
_IN_USE = 0x1
_FLAGS_AT = 17
_STANDALONE = 0x1
_GTID_FLAGS = struct.Struct("<QIB")
"""Number, domain, flags."""
_QUERY_HEAD = struct.Struct("<IIBHH")
"""Thread, seconds, length of the database's name, error, length of the status variables."""
_MOST_OF_A_QUERY = 64
"""Bytes of a statement that may end a transaction: longer ones do something else."""


class Kind(IntEnum):
    QUERY = 2
    STOP = 3
    ROTATE = 4
    DESCRIPTION = 15
    XID = 16
    TABLE_MAP = 19
    INCIDENT = 26
    XA_PREPARE = 38
    CHECKPOINT = 161
    GTID = 162
    GTID_LIST = 163
    ENCRYPTION = 164
    QUERY_COMPRESSED = 165


_ALONE = (
    Kind.STOP, Kind.ROTATE, Kind.DESCRIPTION, Kind.INCIDENT, Kind.CHECKPOINT, Kind.GTID_LIST,
)  # fmt: skip
"""What is no part of a transaction."""

_ENDS = (b"COMMIT", b"ROLLBACK")
_XA_ENDS = (b"XA COMMIT", b"XA ROLLBACK")


@dataclass(frozen=True)
class Description:
    """How a file's events are written; `event`: what has to stand before a part of the file."""

    event: bytes
    checksums: bool

    @property
    def begin(self) -> int:
        """Where the file's first other event is."""
        return len(MAGIC) + len(self.event)


@dataclass(frozen=True)
class Mark:
    """A transaction that ends before this offset; `stamp`: its time by its header, in seconds."""

    end: int
    stamp: int


def describe(file: BinaryIO) -> Description | None:
    """Return how this binary log is written; None while that is not to be seen yet.

    Raise `Failed` for what is no binary log, or one that is encrypted.
    """
    file.seek(0)
    head = file.read(len(MAGIC) + HEADER.size)
    if len(head) < len(MAGIC) + HEADER.size:
        return None
    if not head.startswith(MAGIC):
        raise errors.Failed("the binary log is damaged: it does not begin as one")
    stamp, kind, server, length, following, flags = HEADER.unpack_from(head, len(MAGIC))
    if kind != Kind.DESCRIPTION or not HEADER.size < length < CHUNK:
        raise errors.Failed("the binary log is damaged: it does not say how it is written")
    body = file.read(length - HEADER.size)
    if len(body) < length - HEADER.size:
        return None
    # Its checksum is that of a file which is not in use: so it stands in every part of the file.
    fresh = HEADER.pack(stamp, kind, server, length, following, flags & ~_IN_USE) + body
    # MariaDB documentation, "FORMAT_DESCRIPTION_EVENT": the algorithm's number, and four bytes.
    return Description(fresh, checksums=body[-_CHECKSUM - 1] == 1)


def proof(file: BinaryIO, description: Description, end: int) -> str:
    """Return a digest of what a log says before an offset: of when it was begun, and of its last.

    What the server notes in its header when it closes it does not count.
    """
    begin = max(description.begin, end - PROVING)
    file.seek(begin)
    last = file.read(max(0, end - begin))
    return hashlib.sha256(description.event + last).hexdigest()


class Scanner:
    """Goes through one file as it grows, and notes where transactions end."""

    def __init__(self, file: BinaryIO, description: Description, begin: int) -> None:
        """`begin`: an offset at which nothing is half."""
        self._file = file
        self._description = description
        self._next = max(begin, description.begin)
        self._inside = False
        self._standalone = False
        self._stamp = 0
        self.complete = self._next
        """Up to here, no transaction is half."""
        self.gap_end = 0
        """Where the server has just said that changes are missing, which nothing counts after."""

    def advance(self) -> list[Mark]:
        """Look at what was written since; return the ends of transactions that came, in order.

        Of those with the same time stamp in one go, only the last is told.
        """
        marks: dict[int, Mark] = {}
        before = -1
        while self._next != before:
            before = self._next
            for mark in self._chunk():
                marks[mark.stamp] = mark
        return sorted(marks.values(), key=lambda mark: mark.end)

    def _chunk(self) -> Iterator[Mark]:
        self._file.seek(self._next)
        chunk = self._file.read(CHUNK)
        at = 0
        while len(chunk) - at >= HEADER.size:
            stamp, kind, _, length, _, _ = HEADER.unpack_from(chunk, at)
            if length < HEADER.size:
                return  # not written yet, or torn off
            if at + length > len(chunk):
                if at or not self._is_there(length):
                    return
                event = memoryview(chunk)  # its begin: it is longer than a chunk
            else:
                event = memoryview(chunk)[at : at + length]
                if self._description.checksums and not _is_whole(event):
                    return
            at += length
            self._next += length
            yield from self._see(kind, stamp, event)

    def _is_there(self, length: int) -> bool:
        """Return whether the file has all of the event that is next."""
        if length <= CHUNK:
            return False
        end = self._file.seek(0, 2)
        return end >= self._next + length

    def _see(self, kind: int, stamp: int, event: memoryview) -> Iterator[Mark]:
        if kind == Kind.ENCRYPTION:
            raise errors.Failed("the binary log is encrypted by the server: it cannot be archived")
        if self.gap_end:
            return
        if kind == Kind.GTID or kind in _ALONE:
            # Transactions are written as a whole: where another begins, the last one is complete.
            if self._inside:
                yield self._end(self._next - len(event), self._stamp)
            self._inside = kind == Kind.GTID
            if self._inside:
                self._standalone = bool(
                    _GTID_FLAGS.unpack_from(event, HEADER.size)[2] & _STANDALONE
                )
            elif kind == Kind.INCIDENT:
                self.gap_end = self._next
            else:
                self.complete = self._next
            self._stamp = stamp
        elif self._inside:
            self._stamp = stamp
            if self._ends(kind, event):
                self._inside = False
                yield self._end(self._next, stamp)

    def _end(self, end: int, stamp: int) -> Mark:
        self.complete = end
        return Mark(end, stamp)

    def _ends(self, kind: int, event: memoryview) -> bool:
        if kind in (Kind.XID, Kind.XA_PREPARE):
            return True
        if kind not in (Kind.QUERY, Kind.QUERY_COMPRESSED):
            return False
        if self._standalone:
            return True
        if kind == Kind.QUERY_COMPRESSED:
            return False  # none of the short statements that end a transaction is
        text = _statement(event, self._description.checksums)
        return text in _ENDS or text.startswith(_XA_ENDS)


def _is_whole(event: memoryview) -> bool:
    return zlib.crc32(event[:-_CHECKSUM]) == int.from_bytes(event[-_CHECKSUM:], "little")


def _statement(event: memoryview, checksums: bool) -> bytes:
    """Return a statement's text; nothing for one that is too long to end a transaction."""
    _, _, name, _, variables = _QUERY_HEAD.unpack_from(event, HEADER.size)
    begin = HEADER.size + _QUERY_HEAD.size + variables + name + 1
    text = event[begin : len(event) - (_CHECKSUM if checksums else 0)]
    return bytes(text) if len(text) <= _MOST_OF_A_QUERY else b""
