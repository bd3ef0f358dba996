"""Takes an object in: it is there whole, and on the disk, or not at all."""

import base64
import binascii
import errno
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbaas.contract import errors
from dbaas.host import files
from dbaas.strategies.grants import shelves
from dbaas.strategies.grants.shelves import ARRIVING, Shelves

PART = 1 << 20
"""Bytes that are read and written at once."""

_PARTS = 4
"""How many of them there are: one is read or written while others are hashed."""

_WRITTEN_BACK = 4 * PART
"""Bytes after which the kernel is asked to write: it does so meanwhile, and not all in the end.
Measured on ext4: 790 MB/s with its fsync, where one fsync at the end gives 260 to 380."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


class CutShort(Exception):
    """The sender stopped before the end."""


@dataclass(frozen=True)
class Expected:
    """What the sender says of the content, in hex; empty: nothing."""

    sha256: str = ""
    md5: str = ""


def expected(headers: Mapping[str, str]) -> Expected:
    """Return what a request says of its body; raise `Invalid` for what is no checksum."""
    told = {name.lower(): value for name, value in headers.items()}
    md5 = told.get("etag", "").strip('"').lower()
    if encoded := told.get("content-md5", ""):
        try:
            md5 = base64.b64decode(encoded, validate=True).hex()
        except (ValueError, binascii.Error) as error:
            raise errors.Invalid("Content-MD5 is not in base64") from error
    return Expected(told.get("x-content-sha256", "").lower(), md5)


def store(
    where: Shelves,
    path: Path,
    length: int,
    read_into: Callable[[memoryview], int | None],
    content: Expected,
) -> str:
    """Store what is read as this file, and return its checksum: MD5 if that was told, or SHA-256.

    Raises `Failed` for other content than was told, `OverQuota` for a full disk, `CutShort`; then
    the file is what it was before.
    """
    with _translated(), _arriving(where) as (handle, fresh):
        sha256, md5 = _receive(handle, length, read_into, with_md5=bool(content.md5))
        if (content.sha256, content.md5) != (content.sha256 and sha256, md5):
            raise errors.Failed("the content is not what its checksum says")
        if md5:
            shelves.note_checksum(handle, md5)
        os.fsync(handle)
        where.make(path.parent)
        fresh.replace(path)
        files.sync_directory(path.parent)
    return md5 or sha256


@contextmanager
def _arriving(where: Shelves) -> Iterator[tuple[int, Path]]:
    fresh = where.root / ARRIVING / os.urandom(8).hex()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield handle, fresh
    finally:
        os.close(handle)
        fresh.unlink(missing_ok=True)


def _receive(
    handle: int, length: int, read_into: Callable[[memoryview], int | None], *, with_md5: bool
) -> tuple[str, str]:
    """Write the content to the file; return its SHA-256, and its MD5 where that is wanted.

    What hashes runs beside what reads and writes: all three let go of Python's lock.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    hashes: list[Any] = [sha256, md5] if with_md5 else [sha256]
    buffers = [memoryview(mmap.mmap(-1, PART)) for _ in range(_PARTS)]
    hashed: list[Future[None]] = []
    done = begun = 0
    with ThreadPoolExecutor(1) as beside:
        while done < length:
            if len(hashed) >= _PARTS:
                hashed[-_PARTS].result()  # who had this buffer before
            view = buffers[len(hashed) % _PARTS][: min(PART, length - done)]
            if read_into(view) != len(view):
                raise CutShort
            hashed.append(beside.submit(_update, hashes, view))
            _write(handle, view)
            done += len(view)
            if done - begun >= _WRITTEN_BACK:
                os.posix_fadvise(handle, begun, done - begun, os.POSIX_FADV_DONTNEED)
                begun = done
    return sha256.hexdigest(), md5.hexdigest() if with_md5 else ""


def _update(hashes: list[Any], view: memoryview) -> None:
    for each in hashes:
        each.update(view)


def _write(handle: int, view: memoryview) -> None:
    while view:
        view = view[os.write(handle, view) :]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise CutShort from error
    except ConnectionError as error:
        raise CutShort from error
    except OSError as error:
        if error.errno in _FULL:
            raise errors.OverQuota("there is no room for it") from error
        raise errors.Unavailable("the directory cannot be written to") from error
