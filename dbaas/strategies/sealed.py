"""The stream of a backup, encrypted in the guest: storage learns nothing and can change nothing.

A stream is a header and frames. The header names the backup, and has a salt of its own: from it and
the backup's data key comes the key of this one stream. Each frame is AES-256-GCM over at most 1 MiB
under a random nonce, bound to its number and to whether it is the last: what is cut off, exchanged,
repeated, or another stream's, even of an earlier attempt at the same backup, is noticed.

    header  8 bytes of mark and version, 2 of the id's length, the id, 16 of salt
    frame   4 bytes of the content's length, 1 of whether it is the last, 12 of nonce, content, tag
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dbaas.contract import errors
from dbaas.contract.secret import Secret

FRAME = 1 << 20
"""Bytes of content that a frame has at most."""

Bytes = bytes | bytearray | memoryview

_MARK = b"dbaasbk\x01"
_LENGTH = struct.Struct(">H")
_FRAME = struct.Struct(">IB")
_NUMBER = struct.Struct(">Q")
_LONGEST_ID = 64
_SALT = 16
_NONCE = 12
_TAG = 16
_KEY = 32


def seal(key: Secret, backup: str, contents: Iterable[Bytes]) -> Iterator[bytes]:
    """Yield the stream's pieces; a content may be overwritten once the next one is asked for.

    Each content becomes one frame, so it has at most `FRAME` bytes. `key`: hex of 256 bits.
    """
    header = _header(backup, os.urandom(_SALT))
    yield header
    cipher = _cipher(key, header)
    number = 0
    for content in contents:
        yield from _frame(cipher, number, content, last=False)
        number += 1
    yield from _frame(cipher, number, b"", last=True)


def unseal(key: Secret, backup: str, pieces: Iterable[Bytes]) -> Iterator[bytes]:
    """Yield the contents; a piece is not looked at any more once the next one is asked for.

    Raise `Failed` where the stream is not the one that was sealed, or not all of it. What was
    yielded until then is as it was sealed.
    """
    source = _Source(pieces)
    cipher = _cipher(key, _read_header(source, backup))
    number = 0
    last = False
    while not last:
        content, last = _read_frame(source, cipher, number, backup)
        if content:
            yield content
        number += 1
    if not source.is_at_its_end():
        raise errors.Failed(f"the stream of backup {backup} is damaged: it goes on after its end")


def _frame(cipher: AESGCM, number: int, content: Bytes, *, last: bool) -> Iterator[bytes]:
    head = _FRAME.pack(len(content), last)
    nonce = os.urandom(_NONCE)
    yield head + nonce
    yield cipher.encrypt(nonce, content, _NUMBER.pack(number) + head)


def _header(backup: str, salt: bytes) -> bytes:
    name = backup.encode()
    if not 0 < len(name) <= _LONGEST_ID:
        raise errors.Invalid(f"the id of a backup has 1 to {_LONGEST_ID} bytes")
    return _MARK + _LENGTH.pack(len(name)) + name + salt


def _read_header(source: "_Source", backup: str) -> bytes:
    """Return the header's bytes; it is proved by the first frame, whose key comes from it."""
    try:
        mark = bytes(source.take(len(_MARK)))
        length = bytes(source.take(_LENGTH.size))
        (size,) = _LENGTH.unpack(length)
        if mark != _MARK or size > _LONGEST_ID:
            raise errors.Failed(f"the stream of backup {backup} is damaged in its header")
        name = bytes(source.take(size))
        if name != backup.encode():
            raise errors.Failed(f"the stream of backup {backup} is another backup's")
        return mark + length + name + bytes(source.take(_SALT))
    except _Ended:
        raise _short(backup) from None


def _read_frame(source: "_Source", cipher: AESGCM, number: int, backup: str) -> tuple[bytes, bool]:
    try:
        head = bytes(source.take(_FRAME.size))
        size, mark = _FRAME.unpack(head)
        if size > FRAME or mark > 1:
            raise _damaged(backup, number)
        nonce = bytes(source.take(_NONCE))
        content = cipher.decrypt(nonce, source.take(size + _TAG), _NUMBER.pack(number) + head)
    except _Ended:
        raise _short(backup) from None
    except InvalidTag:
        raise _damaged(backup, number) from None
    return content, bool(mark)


def _cipher(key: Secret, header: bytes) -> AESGCM:
    try:
        raw = bytes.fromhex(key.reveal())
    except ValueError:
        raw = b""
    if len(raw) != _KEY:
        raise errors.Invalid("a data key has 64 hexadecimal digits")
    return AESGCM(hmac.digest(raw, header, hashlib.sha256))


def _damaged(backup: str, number: int) -> errors.Failed:
    return errors.Failed(f"the stream of backup {backup} is damaged in its frame {number}")


def _short(backup: str) -> errors.Failed:
    return errors.Failed(f"the stream of backup {backup} is cut off")


class _Ended(Exception):
    """There are fewer bytes than were asked for."""


class _Source:
    """Takes bytes from a row of pieces, without copying what lies in one of them."""

    def __init__(self, pieces: Iterable[Bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def take(self, size: int) -> Bytes:
        """Return the next bytes, which are good until the next call."""
        if size <= len(self._rest):
            found, self._rest = self._rest[:size], self._rest[size:]
            return found
        gathered = bytearray()
        while len(gathered) < size:
            part = self._rest[: size - len(gathered)]
            gathered += part
            self._rest = self._rest[len(part) :]
            if not self._rest and len(gathered) < size:
                self._rest = self._next()
        return gathered

    def is_at_its_end(self) -> bool:
        try:
            while not self._rest:
                self._rest = self._next()
        except _Ended:
            return True
        return False

    def _next(self) -> memoryview:
        for piece in self._pieces:
            return memoryview(piece)
        raise _Ended
