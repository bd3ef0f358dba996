"""What MariaDB's own programs need to work on a server, or on its files."""

import grp
import os
import pwd
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.mariadb.admin import Session
from dbaas.engines.mariadb.names import ADMIN
from dbaas.engines.mariadb.takeover import Entrance
from dbaas.host import commands, files

UNFINISHED = "data.{}.unfinished"
SYNC_TIMEOUT = 1800.0
"""Seconds in which what was just written reaches the disk: it may be all that the volume holds."""

BINARY_LOGS = ("binlog.", "relay.", "#binlog_cache_files")
OWN_LOGS = ("ib_logfile", "ib_buffer_pool", "ibtmp")

UNLIMITED = 1 << 63
"""Rows that no table has."""


def options(directory: Path, entrance: Entrance) -> Path:
    """Write, for root only, how the programs come in; return the file, which is made anew."""
    lines = [f"socket = {entrance.socket}", f"user = {ADMIN}"]
    if entrance.password:
        lines.append(f"password = {entrance.password.read_text()}")
    path = directory / "tools.cnf"
    files.write(path, "\n".join(["[client]", *lines, ""]), mode=0o600)
    return path


def refuse_limit(session: Session) -> None:
    """Raise `Conflict` where new connections get parts of answers, which the programs cannot help.

    mariadb-dump would leave rows out without a word, and mariadb-backup crashes.
    """
    ((limit,),) = session.rows("SELECT @@GLOBAL.sql_select_limit")
    if int(limit) < UNLIMITED:
        raise errors.Conflict(
            f"the database server gives no more than {limit} rows: for a backup, its global"
            " sql_select_limit has to be at its default"
        )


@contextmanager
def scratch(path: Path, user: str = "") -> Iterator[Path]:
    """Give an empty directory of that path, the user's or our own; it is gone afterwards."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    if user:
        shutil.chown(path, user, user)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def fresh_directory(volume: Path, user: str) -> Iterator[Path]:
    """Give an empty directory for data that is not whole yet; it is gone afterwards, unless it was
    moved. What an earlier attempt left is removed before."""
    clear(volume)
    # Under a name of its own: what a killed agent began may still be going on.
    path = volume / UNFINISHED.format(secrets.token_hex(4))
    path.mkdir(mode=0o700)
    if user:
        shutil.chown(path, user, user)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def clear(volume: Path) -> None:
    """Remove what attempts that were cut short left."""
    for leftover in volume.glob(UNFINISHED.format("*")):
        shutil.rmtree(leftover)


def adopt(fresh: Path, data: Path, user: str) -> None:
    """Make it the data directory, in one step, and on the disk when this returns."""
    give(fresh, user)
    commands.run(["sync", "-f", str(fresh)], timeout=SYNC_TIMEOUT)
    if data.exists():
        # What was there is in nobody's way, and is removed as any leftover is.
        data.rename(data.with_name(UNFINISHED.format(secrets.token_hex(4))))
    fresh.rename(data)
    files.sync_directory(data.parent)
    clear(data.parent)


def give(path: Path, user: str) -> None:
    """Make it and all that is in it the server's own: the image may have another id for it."""
    if not user:
        return
    owner, group = pwd.getpwnam(user).pw_uid, grp.getgrnam(user).gr_gid
    for root, directories, names in os.walk(path):
        for entry in (".", *directories, *names):
            os.chown(Path(root, entry), owner, group, follow_symlinks=False)


def size(data: Path) -> int:
    """Return the bytes of a data directory's files, less the logs that no backup has."""
    total = 0
    for root, directories, names in os.walk(data):
        directories[:] = [name for name in directories if not name.startswith("#")]
        for name in names:
            if not name.startswith((*BINARY_LOGS, *OWN_LOGS)):
                try:
                    total += Path(root, name).stat().st_size
                except FileNotFoundError:
                    continue  # it was dropped meanwhile
    return total
