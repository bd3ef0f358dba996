"""Play MariaDB's binary log on a data directory: by a server of its own that nobody else reaches.

It listens to no network and logs nothing. What is played comes as bytes of the log's files; each
file is put together again as far as it goes, and read by mariadb-binlog.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dbaas.contract import errors
from dbaas.engines.mariadb import admin, takeover, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.engines.mariadb.takeover import Entrance
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies.archive.base import Check, Goal, Spot
from dbaas.strategies.archive.events import MAGIC
from dbaas.strategies.archive.pieces import Head, Piece

ONCE = 64 << 20
"""Bytes of the log that are played by one run of the programs, or a few more."""
START, PAUSE = 300.0, 0.05
"""Seconds that the server may take until it answers; between two looks."""
LARGEST = "max-allowed-packet=1G"
"""What a row may have."""
STOP = 600.0
"""Seconds that it may take to write everything down and end."""


@dataclass(frozen=True)
class Part:
    """A file of the log as far as it is played at once. `at`: when its last was committed."""

    path: Path
    at: float


def play(engine: MariaDB, data: Path, pieces: Iterable[Piece], goal: Goal, check: Check) -> float:
    """See `ArchiveStrategy.play`."""
    latest = 0.0
    with (
        _directory(data.with_name(f"{data.name}.replay"), engine.user) as scratch,
        _directory(engine.runtime / "replay", engine.user) as runtime,
        Server(engine, data, scratch, runtime, goal.memory_mib, check) as server,
    ):
        for part in parts(pieces, goal, scratch):
            server.play(part.path)
            latest = part.at
        server.end()
    return latest


@contextmanager
def _directory(path: Path, user: str) -> Iterator[Path]:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    if user:
        shutil.chown(path, user, user)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def parts(pieces: Iterable[Piece], goal: Goal, directory: Path, once: int = ONCE) -> Iterator[Part]:
    """Write what is to be played into files there, one at a time; each ends between transactions.

    Raise `Failed` where a piece is missing, or the log does not begin where it should.
    """
    path = directory / "part"
    now = ""
    whole = 0
    at = 0.0
    with path.open("w+b") as file:
        for portion in portions(pieces, goal):
            if whole and whole == file.tell() and (portion.file != now or whole >= once):
                yield Part(_cut(path, file, whole), at)
                whole = 0
            if file.tell() == 0:
                _begin(file, portion.description)
                now = portion.file
            file.write(portion.content)
            if portion.whole:
                whole = file.tell()
                at = portion.at or at
        if whole:
            yield Part(_cut(path, file, whole), at)


def _begin(file: BinaryIO, description: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(MAGIC + bytes.fromhex(description))


def _cut(path: Path, file: BinaryIO, whole: int) -> Path:
    """Leave out the begin of a transaction whose end came too late."""
    file.truncate(whole)
    file.flush()
    file.seek(0)
    return path


@dataclass(frozen=True)
class Portion:
    """What of a piece is played. `whole`: no transaction goes on after it."""

    file: str
    description: str
    content: bytes
    whole: bool
    at: float


def portions(pieces: Iterable[Piece], goal: Goal) -> Iterator[Portion]:
    """Yield what of each piece lies between the goal's begin and its end, in order."""
    begin = goal.begin
    reached: Head | None = None
    for piece in pieces:
        head = piece.head
        _check_follows(reached, head)
        reached = head
        if (_number(head.file), head.end) <= (_number(begin.file), begin.offset):
            continue
        if begin.file:
            begin = _entered(begin, head.file, head.begin)
        first = max(head.begin, begin.offset)
        begin = Spot()
        fitting = [commit for commit in head.commits if commit.at <= goal.until]
        done = len(fitting) < len(head.commits)
        if done and not fitting:
            return
        last = max(first, fitting[-1].end) if done else head.end
        content = piece.body()[first - head.begin : last - head.begin]
        at = fitting[-1].at if fitting else 0.0
        if content:
            yield Portion(head.file, head.description, content, bool(head.commits), at)
        if done:
            return


def _check_follows(before: Head | None, head: Head) -> None:
    if before is None:
        return
    same = head.file == before.file and head.begin == before.end
    following = _number(head.file) == _number(before.file) + 1
    if head.sequence != before.sequence + 1 or not (same or following):
        raise errors.Failed(f"the archive has a gap before its piece {head.sequence}")


def _entered(begin: Spot, file: str, first: int) -> Spot:
    """Return from where on the first piece that counts is played; raise `Failed` for a gap."""
    if file == begin.file and first <= begin.offset:
        return begin
    if _number(file) == _number(begin.file) + 1:
        return Spot()  # nothing was logged in that file after the begin
    raise errors.Failed(
        f"the archive begins at {file}:{first}, after {begin.file}:{begin.offset}, where it is"
        " needed from"
    )


def _number(file: str) -> int:
    digits = file.rpartition(".")[2]
    return int(digits) if digits.isdecimal() else -1


class Server:
    """A server on these data, for us alone. A context: it is killed when it is left."""

    def __init__(
        self,
        engine: MariaDB,
        data: Path,
        scratch: Path,
        runtime: Path,
        memory_mib: int,
        check: Check,
    ) -> None:
        """`scratch`: a directory on the volume; `runtime`: one with a short path."""
        self._runtime = runtime
        self._check = check
        password = _password(engine, runtime)
        self._entrance = Entrance(runtime / "s", password)
        init = runtime / "init.sql"
        init.write_text(takeover.script(password.read_text() if password else ""))
        if engine.user:
            shutil.chown(init, engine.user, engine.user)
        pool = max(16, memory_mib // 4)
        arguments = (
            "mariadbd",
            "--no-defaults",
            f"--datadir={data}",
            f"--tmpdir={scratch}",
            f"--socket={self._entrance.socket}",
            f"--pid-file={runtime / 'pid'}",
            f"--init-file={init}",
            f"--innodb-buffer-pool-size={pool}M",
            "--skip-networking",
            "--skip-log-bin",
            "--skip-slave-start",
            "--event-scheduler=OFF",
            "--innodb-flush-log-at-trx-commit=0",
            f"--{LARGEST}",
            "--sql-mode=",
        )
        self._row = Pipe([Program(arguments, engine.user)], check)

    def __enter__(self) -> "Server":
        self._row.__enter__()
        try:
            self._wait()
        except BaseException:
            self._row.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._row.__exit__(None, None, None)

    def play(self, path: Path) -> None:
        """Have done what a file of the log says, all of it."""
        options = tools.options(self._runtime, self._entrance)
        read = ("mariadb-binlog", "--no-defaults", "--disable-log-bin", str(path))
        apply = ("mariadb", f"--defaults-file={options}", "--binary-mode", f"--{LARGEST}")
        with Pipe([Program(read), Program(apply)], self._check) as row:
            sink = memoryview(bytearray(1 << 16))
            while row.read(sink):
                pass
            try:
                row.finish()
            except errors.Failed as error:
                raise errors.Failed(f"the archive cannot be played: {error.text}") from error

    def end(self) -> None:
        """Let it write everything down."""
        with admin.session(self._entrance, timeout=STOP) as session:
            session.rows("SHUTDOWN")
        sink = memoryview(bytearray(1 << 12))
        while self._row.read(sink):
            pass
        self._row.finish()

    def _wait(self) -> None:
        expired = time.monotonic() + START
        while not admin.sign_of_life(self._entrance, 3.0)[0]:
            self._check()
            if self._row.ended():
                self._row.finish()
                raise errors.Failed("the database server that plays the archive ended at once")
            if time.monotonic() > expired:
                raise errors.Unavailable("the server that plays the archive does not answer")
            time.sleep(PAUSE)


def _password(engine: MariaDB, runtime: Path) -> Path | None:
    if engine.entrance.password is None:
        return None
    import secrets

    path = runtime / "administrator"
    path.write_text(secrets.token_hex(32))
    return path
