"""Files that survive a crash whole, and locks that a crash releases."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dbaas.contract import errors

PAUSE = 0.005
"""Seconds between two attempts at a lock that somebody else holds."""


def write(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    """Replace the file in one step: a reader, and a crash, finds the old content or the new one.

    It is on the disk when this returns. A file of the same name ending in `.new` may be left by a
    crash; `leftovers` finds those.
    """
    data = content.encode() if isinstance(content, str) else content
    fresh = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names that were created, replaced or removed in it outlive a crash of the host."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file, durably; one that is not there is fine."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def leftovers(directory: Path, *, age: float = 0.0) -> list[Path]:
    """Return what a crash in the middle of `write` left there, and at least `age` seconds ago."""
    found = []
    for path in sorted(directory.glob(".*.new")):
        with suppress(FileNotFoundError):  # its writer was faster
            if time.time() - path.stat().st_mtime >= age:
                found.append(path)
    return found


@contextmanager
def lock(path: Path, *, timeout: float | None = None, shared: bool = False) -> Iterator[None]:
    """Hold the lock that this file stands for, among the processes and threads of one host.

    The kernel releases it when its holder dies. Waits for ever without a `timeout` (seconds);
    raises `Busy` after it. Not re-entrant. The file is made when needed and stays: removing a lock
    file would let two hold it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, path, timeout, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, timeout: float | None, kind: int) -> None:
    if timeout is None:
        fcntl.flock(handle, kind)
        return
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                raise
            if time.monotonic() >= deadline:
                raise errors.Busy(f"{path.name} is held by somebody else") from error
            time.sleep(PAUSE)
        else:
            return
