"""Restores what mariadb-backup gave: the files, made consistent, increments applied one by one.

All of it runs under the server's account: the stream may be one that somebody registered, and
whoever wrote it chose the names of the files in it.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.engines.mariadb import tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.host import pipes
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies import packing
from dbaas.strategies.restore.base import Bytes, Check

MEMORY_SHARE = 1 / 2
"""Of the guest's memory, while its server does not run: for applying the log."""
LEAST_MEMORY = 32 << 20

NOTES = ("mariadb_backup_*", "xtrabackup_*", "backup-my.cnf")
"""What the program leaves in the directory for itself."""


class MariaBackup:
    """Implements `RestoreStrategy`."""

    physical = True

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, MariaDB):
            raise errors.Unsupported("the strategy mariabackup is for MariaDB only")
        self._engine = engine

    @contextmanager
    def begin(self, memory_mib: int, check: Check) -> "Iterator[Files]":
        memory = max(LEAST_MEMORY, int(memory_mib * MEMORY_SHARE) << 20)
        with tools.fresh_directory(self._engine.volume, self._engine.user) as fresh:
            yield Files(self._engine, fresh, memory, check)


class Files:
    """Implements `Layout`."""

    def __init__(self, engine: MariaDB, directory: Path, memory: int, check: Check) -> None:
        self._engine = engine
        self._user = engine.user
        self._full = directory / "full"
        self._increment = directory / "increment"
        self._memory = memory
        self._check = check
        self._begun = False
        self._unpacked = 0
        self._pipe: Pipe | None = None

    def unpack(self, contents: Iterable[Bytes], packed: str) -> None:
        into = self._increment if self._begun else self._full
        into.mkdir(mode=0o750)
        if self._user:
            shutil.chown(into, self._user, self._user)
        self._extract(contents, packed, into)
        if not list(into.glob("*_checkpoints")):
            raise errors.Failed("the stream is not one that mariadb-backup gave")
        if self._begun:
            self._prepare(f"--incremental-dir={into}")
            shutil.rmtree(into)
        else:
            self._prepare()
        self._begun = True

    def done(self) -> int:
        return self._unpacked + (self._pipe.has_written(0) if self._pipe else 0)

    def finish(self, complete: Callable[[Path], None] = lambda _data: None) -> int:
        for pattern in NOTES:
            for note in self._full.glob(pattern):
                note.unlink()
        complete(self._full)
        size = tools.size(self._full)
        tools.adopt(self._full, self._engine.data, self._user)
        return size

    def _extract(self, contents: Iterable[Bytes], packed: str, into: Path) -> None:
        programs = [
            Program(packing.UNPACKERS[packed], self._user),
            Program(("mbstream", "-x", "-C", str(into)), self._user),
        ]
        with Pipe(programs, self._check, feeds=True) as pipe:
            self._pipe = pipe
            try:
                for content in contents:
                    pipe.write(content)
                pipe.finish()
                self._unpacked += pipe.has_written(0)
            finally:
                self._pipe = None

    def _prepare(self, *more: str) -> None:
        program = (
            "mariadb-backup",
            "--no-defaults",
            "--prepare",
            f"--use-memory={self._memory}",
            f"--target-dir={self._full}",
            *more,
        )
        pipes.run(Program(program, self._user), self._check)
