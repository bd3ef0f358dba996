"""Backups by mariadb-backup: the files themselves, while the server goes on; full and incremental.

It holds locks for a short time (`BACKUP STAGE`); they are its connections' and go with those, so
that nothing is left behind however it ends.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.engines.mariadb import admin, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies import packing
from dbaas.strategies.backup.base import Check, Taken
from dbaas.strategies.backup.watch import Watch

COPY_INTERVAL = 50
"""Milliseconds between two looks for more of the log: a backup waits for one at its end, and lets
nobody change a table's definition until then."""
PROGRAM, PACKER = 0, 1
"""Their places in the row."""

_BINLOG = re.compile(
    r"filename '([^']*)', position '(\d+)'(?:, GTID of the last change '([^']*)')?"
)


class MariaBackup:
    """Implements `BackupStrategy`."""

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, MariaDB):
            raise errors.Unsupported("the strategy mariabackup is for MariaDB only")
        self._engine = engine

    @contextmanager
    def take(self, since: Mapping[str, str], check: Check) -> "Iterator[Files]":
        lsn = self._checked(since)
        with tools.scratch(self._engine.runtime / "backup") as scratch:
            watch = Watch(self._engine)
            programs = [Program(self._arguments(scratch, lsn)), Program(packing.PACK)]

            def both() -> None:
                check()
                watch.look()

            with Pipe(programs, both) as pipe:
                watch.pipe = pipe
                yield Files(self._engine, pipe, scratch, watch)

    def _checked(self, since: Mapping[str, str]) -> int:
        """Return from where on to take changes, 0 for all; see that the server lets us in."""
        with admin.session(self._engine.entrance) as session:
            tools.refuse_limit(session)
            ((_, now),) = session.rows("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'")
        if not since:
            return 0
        lsn = since.get("lsn", "")
        if not lsn.isdecimal() or int(lsn) == 0:
            raise errors.Conflict("the backup to build on was taken by another strategy")
        if int(lsn) > int(now):
            raise errors.Conflict("the backup to build on is not one of this data")
        return int(lsn)

    def _arguments(self, scratch: Path, lsn: int) -> tuple[str, ...]:
        options = tools.options(scratch, self._engine.entrance)
        increment = (f"--incremental-lsn={lsn}",) if lsn else ()
        return (
            "mariadb-backup",
            f"--defaults-file={options}",
            "--backup",
            "--stream=mbstream",
            f"--datadir={self._engine.data}",
            f"--target-dir={scratch}",
            f"--extra-lsndir={scratch}",
            f"--log-copy-interval={COPY_INTERVAL}",
            *increment,
        )


class Files:
    """Implements `Stream`."""

    def __init__(self, engine: MariaDB, pipe: Pipe, notes: Path, watch: Watch) -> None:
        self._engine = engine
        self._pipe = pipe
        self._notes = notes
        self._watch = watch
        self._total = tools.size(engine.data)

    def read(self, into: memoryview) -> int:
        return self._pipe.read(into)

    def done(self) -> int:
        return min(self._pipe.has_read(PROGRAM), self._total)

    @property
    def total(self) -> int:
        return self._total

    def watch(self) -> None:
        self._watch.look()

    def taken(self) -> Taken:
        self._pipe.finish()
        self._watch.pipe = None
        info, checkpoints = _notes(self._notes, "info"), _notes(self._notes, "checkpoints")
        data_size = packing.packed(self._pipe.said(PACKER))
        is_increment = info.get("incremental") == "Y"
        size = tools.size(self._engine.data) + (data_size if is_increment else 0)
        version = info["server_version"].partition("-")[0]
        return Taken(data_size, size, time.time(), version, _position(info, checkpoints))


def _position(info: Mapping[str, str], checkpoints: Mapping[str, str]) -> dict[str, str]:
    position = {"lsn": checkpoints["to_lsn"]}
    found = _BINLOG.search(info.get("binlog_pos", ""))
    if found:
        position |= {"binlog": f"{found[1]}:{found[2]}", "gtid": found[3] or ""}
    return position


def _notes(directory: Path, name: str) -> dict[str, str]:
    """Return what the program noted beside its stream; since 11.1 under names of its own."""
    for prefix in ("mariadb_backup_", "xtrabackup_"):
        with suppress(FileNotFoundError):
            lines = (directory / f"{prefix}{name}").read_text("utf-8", "replace").splitlines()
            pairs = (line.partition(" = ") for line in lines)
            return {key.strip(): value.strip() for key, _, value in pairs}
    raise errors.Failed(f"mariadb-backup left no note of its {name}")
