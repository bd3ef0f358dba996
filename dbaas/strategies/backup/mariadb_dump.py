"""Backups by mariadb-dump: statements, in one transaction; for another version, or another eye.

The tenant's databases, accounts and roles. Slower than files, and full ones only.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.engines.mariadb import admin, databases, people, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.host import files
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies import packing
from dbaas.strategies.backup.base import Check, Taken, refuse_increment
from dbaas.strategies.backup.watch import Watch

OPTIONS = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--dump-history",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)
SIZES = (
    "SELECT COALESCE(SUM(data_length + index_length), 0), COALESCE(SUM(data_length), 0)"
    " FROM information_schema.tables WHERE table_schema NOT IN"
    " ('mysql', 'information_schema', 'performance_schema', 'sys')"
)
ROOM = 96 << 20
"""Bytes of a data directory in which no tenant has anything."""
DELIMITER = "$$"
"""What ends a statement about people: some have others in them."""


class MariaDBDump:
    """Implements `BackupStrategy`."""

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, MariaDB):
            raise errors.Unsupported("the strategy mariadb_dump is for MariaDB only")
        self._engine = engine

    @contextmanager
    def take(self, since: Mapping[str, str], check: Check) -> "Iterator[Statements]":
        refuse_increment(since, "mariadb_dump")
        watch = Watch(self._engine)

        def both() -> None:
            check()
            watch.look()

        with (
            tools.scratch(self._engine.runtime / "backup") as scratch,
            ExitStack() as stack,
        ):
            yield self._begun(scratch, both, watch, stack)

    def _begun(self, scratch: Path, check: Check, watch: Watch, stack: ExitStack) -> "Statements":
        options = tools.options(scratch, self._engine.entrance)
        with admin.session(self._engine.entrance) as session:
            tools.refuse_limit(session)
            found = databases.all_names(session)
            ((size, data),) = session.rows(SIZES)
            ((version,),) = session.rows("SELECT VERSION()")
            # In the same moment as the data, or a little before: what they may do comes last.
            statements = "".join(f"{each}\n{DELIMITER}\n" for each in people.statements(session))
        made = f"DELIMITER {DELIMITER}\n{statements}"
        files.write(scratch / "people.sql", made, mode=0o600)
        # Behind `--` nothing is an option: a tenant may call a database `--no-data`.
        dump = ("mariadb-dump", f"--defaults-file={options}", *OPTIONS, "--databases", "--", *found)
        rows: list[list[Program]] = []
        if found:
            rows.append([Program(dump), Program(packing.PACK)])
        rows.append([Program((*packing.PACK, str(scratch / "people.sql")))])
        pipes = [stack.enter_context(Pipe(row, check)) for row in rows]
        watch.pipe = pipes[0]
        facts = (int(size) + ROOM, int(data), str(version).partition("-")[0])
        return Statements(pipes, watch, facts)


class Statements:
    """Implements `Stream`: packed streams, one after the other, which unpack as one."""

    def __init__(self, pipes: list[Pipe], watch: Watch, facts: tuple[int, int, str]) -> None:
        self._left = list(pipes)
        self._packed = 0
        self._watch = watch
        self._restored_size, self._total, self._version = facts
        self._began = time.time()

    def read(self, into: memoryview) -> int:
        while self._left:
            count = self._left[0].read(into)
            if count:
                return count
            pipe = self._left.pop(0)
            pipe.finish()
            self._packed += packing.packed(pipe.said(-1))
        return 0

    def done(self) -> int:
        return self._packed + (self._left[0].has_read(-1) if self._left else 0)

    @property
    def total(self) -> int:
        return self._total

    def watch(self) -> None:
        self._watch.look()

    def taken(self) -> Taken:
        self._watch.pipe = None
        # What it has is from when its transaction began.
        return Taken(self._packed, self._restored_size, self._began, self._version)
