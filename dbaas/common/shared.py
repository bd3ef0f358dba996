"""Numbers that several processes of one host count in: shared memory, under a lock.

A process that dies gives the lock back, whatever it was doing; so each change must leave something
sensible at every instant.
"""

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

Numbers: TypeAlias = "memoryview[float]"

_BYTES = 8


class Shared:
    """`count` numbers, 0 at first; made before a fork, or by everybody who has the same file."""

    def __init__(self, count: int, path: Path | None = None) -> None:
        """Without a `path` they are shared with the forks of this process only.

        Raises `OSError`. A file of another size was made for something else, and begins anew.
        """
        size = count * _BYTES
        if path is None:
            self._file = os.memfd_create("dbaas", os.MFD_CLOEXEC)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Record locks belong to a process, and so do not keep its own threads apart.
        self._threads = threading.Lock()
        with self._alone():
            if os.fstat(self._file).st_size != size:
                os.ftruncate(self._file, 0)
                os.ftruncate(self._file, size)
            self._numbers = memoryview(mmap.mmap(self._file, size)).cast("d")

    @contextmanager
    def locked(self) -> Iterator[Numbers]:
        """Give the numbers, which nobody else has meanwhile."""
        with self._alone():
            yield self._numbers

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)
