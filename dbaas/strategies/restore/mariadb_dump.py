"""Restores what mariadb-dump gave: statements, run by a server that nobody else reaches."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.engines.mariadb import admin, takeover, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.engines.mariadb.takeover import Entrance
from dbaas.host import files
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies import packing
from dbaas.strategies.restore.base import Bytes, Check

MEMORY_SHARE = 2 / 5
"""Of the guest's memory, for pages: this server has nothing else to do."""
LEAST_MEMORY = 32
START_TIMEOUT, SIGN_TIMEOUT, PAUSE = 120.0, 3.0, 0.02
"""Seconds until it answers, for one look at that, and between two looks."""

WAYS = (
    "--skip-networking",
    "--skip-log-bin",
    "--max-allowed-packet=1G",
    "--event-scheduler=OFF",
    # What it has is thrown away unless it ends in good order, which writes all.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
)


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
        # Short, since the socket is there: a path of one has 107 bytes at most.
        runtime = self._engine.runtime / "restore"
        shutil.rmtree(runtime, ignore_errors=True)
        runtime.mkdir(mode=0o700, parents=True)
        try:
            self._run(contents, packed, runtime)
        finally:
            shutil.rmtree(runtime, ignore_errors=True)

    def done(self) -> int:
        return self._unpacked + (self._pipe.has_written(0) if self._pipe else 0)

    def finish(self, complete: Callable[[Path], None] = lambda _data: None) -> int:  # noqa: ARG002  # these are no files
        size = tools.size(self._data)
        tools.adopt(self._data, self._engine.data, self._engine.user)
        return size

    def _run(self, contents: Iterable[Bytes], packed: str, runtime: Path) -> None:
        entrance = self._entrance(runtime)
        options = tools.options(runtime, entrance)
        server = Program(self._server(runtime, entrance), self._engine.user)
        tools.give(runtime, self._engine.user)
        with Pipe([server], self._check) as running:
            self._wait(entrance, running)
            programs = [
                Program(packing.UNPACKERS[packed]),
                Program(
                    ("mariadb", f"--defaults-file={options}", "--batch", "--binary-mode",
                     "--default-character-set=utf8mb4", "--max-allowed-packet=1G")
                ),
            ]  # fmt: skip
            with Pipe(programs, self._check, feeds=True) as pipe:
                self._pipe = pipe
                for content in contents:
                    pipe.write(content)
                pipe.finish()
                self._unpacked += pipe.has_written(0)
                self._pipe = None
            with admin.session(entrance) as session:
                session.rows("SHUTDOWN")
            running.finish()

    def _entrance(self, runtime: Path) -> Entrance:
        """Return the way into it, which is not that into the server to be."""
        socket = runtime / "s"
        if self._engine.user:
            return Entrance(socket)
        password = runtime / "administrator"
        files.write(password, secrets.token_hex(32), mode=0o600)
        return Entrance(socket, password)

    def _server(self, runtime: Path, entrance: Entrance) -> tuple[str, ...]:
        own = entrance.password.read_text() if entrance.password else ""
        files.write(runtime / "take-over.sql", takeover.script(own), mode=0o600)
        return (
            "mariadbd",
            "--no-defaults",
            f"--datadir={self._data}",
            f"--tmpdir={self._directory}",
            f"--socket={entrance.socket}",
            f"--pid-file={runtime / 'pid'}",
            f"--init-file={runtime / 'take-over.sql'}",
            f"--innodb-buffer-pool-size={self._pool_mib}M",
            *WAYS,
        )

    def _wait(self, entrance: Entrance, running: Pipe) -> None:
        """Return once the server answers; raise `Failed`, with its complaint, if it ends."""
        expired = time.monotonic() + START_TIMEOUT
        while not admin.sign_of_life(entrance, SIGN_TIMEOUT)[0]:
            self._check()
            if running.ended():
                running.finish()
                raise errors.Failed("the database server ended at once")
            if time.monotonic() > expired:
                raise errors.Unavailable("the database server does not answer after its start")
            time.sleep(PAUSE)
