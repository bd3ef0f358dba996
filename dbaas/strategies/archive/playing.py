"""Play MariaDB's binary log on a data directory: by a server of its own that nobody else reaches.

It listens to no network and logs nothing. What is played comes as bytes of the log's files; each
file is put together again as far as it goes, and read by mariadb-binlog, in short statements.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dbaas.contract import errors
from dbaas.engines.mariadb import private, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.engines.mariadb.private import Private
from dbaas.host.pipes import Pipe, Program
from dbaas.strategies.archive import statements
from dbaas.strategies.archive.base import Check, Goal, Spot
from dbaas.strategies.archive.events import MAGIC
from dbaas.strategies.archive.pieces import Head, Piece

ONCE = 64 << 20
"""Bytes of the log that are played by one run of the programs, or a few more."""
LEAST_MEMORY = 16
"""MiB for pages; of the guest's memory a quarter is."""


@dataclass(frozen=True)
class Part:
    """A file of the log as far as it is played at once. `at`: when its last was committed."""

    path: Path
    at: float


def play(engine: MariaDB, data: Path, pieces: Iterable[Piece], goal: Goal, check: Check) -> float:
    """See `ArchiveStrategy.play`."""
    latest = 0.0
    pool = max(LEAST_MEMORY, goal.memory_mib // 4)
    with tools.scratch(data.with_name(f"{data.name}.replay"), engine.user) as scratch:
        left = parts(pieces, goal, scratch)
        shut_out = True
        while shut_out:
            shut_out = False
            with private.serving(engine, data, scratch, pool, check) as server:
                for part in left:
                    _play(server, part.path, check)
                    latest = part.at
                    # Its tenant, as administrator, may do so: a start lets the service in again.
                    shut_out = not server.lets_us_in()
                    if shut_out:
                        break
                server.end()
    return latest


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
            begin = _entered(begin, head)
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
    if head.sequence != before.sequence + 1 or not (same or _begins_after(before.file, head)):
        raise errors.Failed(f"the archive has a gap before its piece {head.sequence}")


def _entered(begin: Spot, head: Head) -> Spot:
    """Return from where on the first piece that counts is played; raise `Failed` for a gap."""
    if head.file == begin.file and head.begin <= begin.offset:
        return begin
    if _begins_after(begin.file, head):
        return Spot()  # nothing was committed in that file after the begin
    raise errors.Failed(
        f"the archive begins at {head.file}:{head.begin}, after {begin.file}:{begin.offset}, where"
        " it is needed from"
    )


def _begins_after(file: str, head: Head) -> bool:
    """Return whether a piece is the first of a later file: there is none of what has no commits."""
    first = head.begin == len(MAGIC) + len(bytes.fromhex(head.description))
    return first and _number(head.file) > _number(file)


def _number(file: str) -> int:
    digits = file.rpartition(".")[2]
    return int(digits) if digits.isdecimal() else -1


def _play(server: Private, path: Path, check: Check) -> None:
    """Have done what a file of the log says, all of it."""
    read = ("mariadb-binlog", "--no-defaults", "--disable-log-bin", "-")
    apply = ("mariadb", f"--defaults-file={server.options}", "--binary-mode", private.LARGEST)
    try:
        with (
            path.open("rb") as file,
            Pipe([Program(read), Program(apply)], check, feeds=True) as row,
        ):
            for some in statements.shortened(file):
                row.write(some)
            row.finish()
    except errors.Failed as error:
        raise errors.Failed(f"the archive cannot be played: {error.text}") from error
