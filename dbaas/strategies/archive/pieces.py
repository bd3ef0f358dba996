"""What is in an archive's objects: pieces of a log, packed and encrypted in the guest.

A piece is bytes of one of the engine's log files that follow each other, with where they are from
and when what is in them was committed. An object has one of them, or, when it was merged, many.

    object  a sealed stream; its contents, one after the other, are pieces
    piece   4 bytes of the head's length, 4 of the body's, the head as JSON, the body (zlib)
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbaas.contract import codec, errors
from dbaas.contract.archives import Run
from dbaas.contract.secret import Secret
from dbaas.strategies import sealed

_LENGTHS = struct.Struct(">II")
_LARGEST = 256 << 20
"""Bytes of a piece that are believed."""


@dataclass(frozen=True)
class Commit:
    """Everything before `end` was committed at `at`, seconds since 1970, or before that."""

    end: int
    at: float


@dataclass(frozen=True)
class Head:
    """Which bytes of the log a piece is. `begin` and `end` are offsets in the file."""

    instance: str
    stream: str
    sequence: int
    file: str
    begin: int
    end: int
    commits: tuple[Commit, ...]
    """In ascending order; none where the piece is from the middle of a transaction."""
    description: str
    """Hex of what has to stand before a part of the file for it to be read."""


@dataclass(frozen=True)
class Piece:
    head: Head
    packed: bytes

    def body(self) -> bytes:
        """Return the bytes of the log; raise `Failed` unless they are what the head says."""
        try:
            content = zlib.decompress(self.packed)
        except zlib.error as error:
            raise _damaged(self.head.sequence) from error
        if len(content) != self.head.end - self.head.begin:
            raise _damaged(self.head.sequence)
        return content


def pack(head: Head, content: bytes) -> Piece:
    return Piece(head, zlib.compress(content, 1))


def identity(stream: str, first: int, last: int = 0) -> str:
    """Return what an object is bound to: one that is put in another's place is noticed."""
    return f"{stream}.{first}.{last}" if last else f"{stream}.{first}"


def seal(key: Secret, name: str, pieces: Iterable[Piece]) -> bytes:
    """Return the object; `name`: its identity."""
    plain = bytearray()
    for piece in pieces:
        head = json.dumps(codec.dump(piece.head)).encode()
        plain += _LENGTHS.pack(len(head), len(piece.packed)) + head + piece.packed
    content = memoryview(plain)
    frames = (content[at : at + sealed.FRAME] for at in range(0, len(content), sealed.FRAME))
    return b"".join(sealed.seal(key, name, frames))


def opened(
    key: Secret, instance: str, stream: str, run: Run, content: memoryview
) -> Iterator[Piece]:
    """Yield what is in the object that holds this run; raise `Failed`, naming it, where it is
    damaged, another's, or does not have all that it should."""
    (name,) = run.names
    expected = run.first
    sealed_as = identity(stream, run.first, run.last if run.merged else 0)
    for piece in unseal(key, sealed_as, content):
        head = piece.head
        if (head.instance, head.stream, head.sequence) != (instance, stream, expected):
            raise errors.Failed(f"object {name} of the archive is another one's")
        expected += 1
        yield piece
    if expected != run.last + 1:
        raise errors.Failed(f"object {name} of the archive does not have all that it should")


def unseal(key: Secret, name: str, content: memoryview) -> Iterator[Piece]:
    """Yield what is in an object; raise `Failed` where it is not what was stored."""
    plain = b"".join(sealed.unseal(key, name, [content]))
    at = 0
    while at < len(plain):
        try:
            head, body = _LENGTHS.unpack_from(plain, at)
            at += _LENGTHS.size
            data = json.loads(plain[at : at + head])
            read = codec.load(Head, data)
        except (struct.error, ValueError, errors.Invalid) as error:
            raise errors.Failed(f"object {name} of the archive is damaged") from error
        if read.end - read.begin > _LARGEST:
            raise errors.Failed(f"object {name} of the archive has a piece that is too large")
        yield Piece(read, plain[at + head : at + head + body])
        at += head + body


def _damaged(sequence: int) -> errors.Failed:
    return errors.Failed(f"piece {sequence} of the archive is damaged")
