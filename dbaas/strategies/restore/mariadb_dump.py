"""Restores what mariadb-dump gave: statements, run by a server that nobody else reaches."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.engines.mariadb import private, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.engines.mariadb.private import Private
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies import packing
from dbaas.strategies.restore.base import Bytes, Check

MEMORY_SHARE = 2 / 5
"""Of the guest's memory, for pages: this server has nothing else to do."""
LEAST_MEMORY = 32


class MariaDBDump:
    """Implements `RestoreStrategy`."""

    physical = False

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, MariaDB):
            raise errors.Unsupported("the strategy mariadb_dump is for MariaDB only")
        self._engine = engine

    @contextmanager
    def begin(self, memory_mib: int, check: Check) -> "Iterator[Statements]":
        pool = max(LEAST_MEMORY, int(memory_mib * MEMORY_SHARE))
        with tools.fresh_directory(self._engine.volume, self._engine.user) as fresh:
            yield Statements(self._engine, fresh, pool, check)


class Statements:
    """Implements `Layout`."""

    def __init__(self, engine: MariaDB, directory: Path, pool_mib: int, check: Check) -> None:
        self._engine = engine
        self._directory = directory
        self._data = directory / "data"
        self._pool_mib = pool_mib
        self._check = check
        self._unpacked = 0
        self._pipe: Pipe | None = None

    def unpack(self, contents: Iterable[Bytes], packed: str) -> None:
        if self._data.exists():
            raise errors.Unsupported("statements do not build on a backup before them")
        self._engine.copy_template(self._data)
        with private.serving(
            self._engine, self._data, self._directory, self._pool_mib, self._check
        ) as server:
            self._run(contents, packed, server)
            server.end()

    def done(self) -> int:
        return self._unpacked + (self._pipe.has_written(0) if self._pipe else 0)

    def finish(self, complete: Callable[[Path], None] = lambda _data: None) -> int:  # noqa: ARG002  # these are no files
        size = tools.size(self._data)
        tools.adopt(self._data, self._engine.data, self._engine.user)
        return size

    def _run(self, contents: Iterable[Bytes], packed: str, server: Private) -> None:
        programs = [
            Program(packing.UNPACKERS[packed]),
            Program(
                ("mariadb", f"--defaults-file={server.options}", "--batch", "--binary-mode",
                 "--default-character-set=utf8mb4", private.LARGEST)
            ),
        ]  # fmt: skip
        with Pipe(programs, self._check, feeds=True) as pipe:
            self._pipe = pipe
            for content in contents:
                pipe.write(content)
            pipe.finish()
            self._unpacked += pipe.has_written(0)
            self._pipe = None
