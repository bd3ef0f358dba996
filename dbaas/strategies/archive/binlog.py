"""MariaDB's binary log as the log that is archived: read from its files while they are written.

What is in the files is not always on the disk yet, and what is on the disk is not always a whole
transaction: only up to the end of a whole one anything is cut. When the server was killed, the rest
of its last file is torn: the next file begins with what was recovered.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.host import volumes
from dbaas.strategies.archive.base import Broken, Check, Cut, Goal, Spot
from dbaas.strategies.archive.events import MAGIC, Description, Mark, Scanner, describe, proof
from dbaas.strategies.archive.pieces import Commit, Piece

INDEX = "binlog.index"
SCARCE = 16 << 20
"""Bytes of a volume, with which a server may wait for more."""
SECOND = 1.0
"""What the log's own time stamps are precise to: they are cut off, not rounded."""


class Binlog:
    """Implements `ArchiveStrategy`."""

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, MariaDB):
            raise errors.Unsupported("the strategy binlog is for MariaDB only")
        self._engine = engine

    def keep(self, keep: bool) -> None:
        self._engine.keep_log(keep)

    def tail(self, spot: Spot, latest: float) -> "BinlogTail":
        return BinlogTail(self._engine.data, spot, latest)

    def forget(self, file: Path) -> None:
        try:
            self._engine.forget_log(file.name)
        except errors.Unavailable:
            room = volumes.usage(self._engine.volume)
            if room.total - room.used > SCARCE:
                raise
            self._empty(file.name)

    def _empty(self, file: str) -> None:
        """Give a server room that waits for it and listens to nobody: it goes on within a minute.

        It may need its last two files as they are, to recover after a crash. Those that are empty
        it removes when it is told to the next time.
        """
        names = logs(self._engine.data)
        for name in names[: names.index(file) if file in names else 0][: len(names) - 2]:
            with suppress(FileNotFoundError):
                os.truncate(self._engine.data / name, 0)

    def play(self, data: Path, pieces: Iterable[Piece], goal: Goal, check: Check) -> float:
        from dbaas.strategies.archive import playing  # what only a restore needs

        return playing.play(self._engine, data, pieces, goal, check)


class BinlogTail:
    """Implements `Tail`."""

    def __init__(self, directory: Path, spot: Spot, latest: float = 0.0) -> None:
        """`directory`: the server's data. `latest`: when the last of what is behind us was
        committed."""
        self._directory = directory
        self._spot = spot
        self._latest = self._since = self._not_before = latest
        self._new: _File | None = None
        """The last one in which something was seen by this look."""
        self._files: deque[_File] = deque()
        """From the first that is not wholly behind us to the one that is written to."""

    @property
    def spot(self) -> Spot:
        return self._spot

    @property
    def since(self) -> float:
        return self._since

    @property
    def first_seen(self) -> float | None:
        return self._files[0].first_seen if self._files else None

    @property
    def oldest(self) -> float | None:
        return next((file.commits[0].commit.at for file in self._files if file.commits), None)

    @property
    def ready(self) -> int:
        if not self._files or not self._files[0].commits:
            return 0
        return self._files[0].complete - self._spot.offset

    @property
    def urgent(self) -> bool:
        return len(self._files) > 1 and bool(self._files[0].commits)

    @property
    def pending(self) -> int:
        names = self._names()
        if self._spot.file in names:
            names = names[names.index(self._spot.file) :]
        elif self._spot.file:
            return 0
        return max(0, sum(self._size(name) for name in names) - self._spot.offset)

    @property
    def newest(self) -> str:
        return (self._names() or [""])[-1]

    def look(self, clock: Callable[[], float], live: bool) -> None:
        before = clock()
        names = self._names()
        if not names:
            return
        is_new = not self._spot.file
        if is_new:
            first = next((name for name in names if self._size(name)), names[-1])
            self._begin(Spot(first), self._begun(first))
        if self._spot.file not in names:
            raise self._gone(self._spot.file)
        if not self._files:
            self._files.append(_File(self._directory / self._spot.file, self._spot))
        while True:
            last = self._files[-1]
            if last.path.name not in names:
                raise self._gone(last.path.name)
            # The names were read before the file is: what has a successor is not written to any
            # more, and what is half in it stays so.
            following = names[names.index(last.path.name) + 1 :]
            self._scan(last, clock, live)
            if last.gap_end:
                if not is_new:
                    self._end_before_gap()
                    return
                self.close()
                self._begin(Spot(last.path.name, last.gap_end), clock())
                self._files.append(_File(last.path, self._spot))
                continue
            if not following or last.scanner is None:
                break
            last.close()
            self._files.append(_File(self._directory / following[0], Spot(following[0])))
        self._all_seen_until(before)
        self._pass_over_empty()

    def cut(self, limit: int, end: int = 0) -> Cut | None:
        if not self._files or not self._files[0].commits:
            return None
        first = self._files[0]
        begin, planned, end = self._spot.offset, end, first.complete
        if begin < planned <= end:
            end = planned
        elif end - begin > limit:
            fitting = [
                each.commit.end for each in first.commits if each.commit.end <= begin + limit
            ]
            end = fitting[-1] if fitting else begin + limit
        seen = [each for each in first.commits if each.commit.end <= end]
        commits = tuple(each.commit for each in seen)
        return Cut(first.path.name, begin, end, commits, seen[-1].not_before if seen else 0.0)

    def read(self, cut: Cut) -> tuple[bytes, str]:
        path = self._directory / cut.file
        try:
            with path.open("rb") as file:
                description = describe(file)
                file.seek(cut.begin)
                content = file.read(cut.end - cut.begin)
        except FileNotFoundError:
            raise self._gone(cut.file) from None
        if description is None or len(content) < cut.end - cut.begin:
            raise Broken(f"the server's log {cut.file} is shorter than it was")
        return content, description.event.hex()

    def passed(self, cut: Cut) -> None:
        first = self._files[0]
        first.commits = [each for each in first.commits if each.commit.end > cut.end]
        if not first.commits:
            first.first_seen = None
        if cut.commits:
            first.whole = cut.end
        self._spot = first.spot(cut.end)
        self._pass_over_empty()

    def behind(self) -> list[tuple[Path, int]]:
        names = self._names()
        if self._spot.file not in names:
            return []
        done = names[: names.index(self._spot.file)]
        return [(self._directory / name, self._size(name)) for name in done]

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files.clear()

    def _begin(self, spot: Spot, since: float) -> None:
        self._spot = spot
        self._latest = self._not_before = self._since = max(self._latest, since)

    def _end_before_gap(self) -> None:
        """Raise `Broken` as soon as all before it is stored; another stream begins after it."""
        if not self._files[0].commits:
            raise Broken(
                f"the server could not log all changes: some are missing in {self._spot.file}"
            )

    def _pass_over_empty(self) -> None:
        """Go on to the first file that has something to store, or may get it."""
        while len(self._files) > 1 and not self._files[0].commits:
            self._files.popleft().close()
            self._spot = Spot(self._files[0].path.name)
        if self._spot.offset < self._files[0].begin:
            self._spot = self._files[0].spot(self._files[0].begin)

    def _all_seen_until(self, moment: float) -> None:
        """Note that nothing that was committed before that comes after what was seen until now."""
        self._not_before = max(self._not_before, moment)
        if self._new is not None:
            file, self._new = self._new, None
            file.commits[-1] = replace(file.commits[-1], not_before=self._not_before)

    def _scan(self, file: "_File", clock: Callable[[], float], live: bool) -> None:
        if not file.opened():
            return
        marks = [mark for mark in file.advance() if mark.end > file.begin]
        now = clock()
        for mark in marks:
            file.commits.append(self._seen(mark, now, live))
        if marks:
            self._new = file
            file.first_seen = file.first_seen or now
        if live and len(marks) > 1:  # they are of the same moment
            del file.commits[-len(marks) : -1]

    def _seen(self, mark: Mark, now: float, live: bool) -> "_Seen":
        """Return when a transaction was committed: at a moment between two.

        The later one counts when it is played: so nothing is that was committed after the moment
        that somebody goes back to. A tenant may set any time for his statements: what was seen, and
        the order, count more.
        """
        self._latest = max(self._latest, now if live else min(now, mark.stamp + SECOND))
        if not live:
            self._not_before = max(self._not_before, min(self._latest, mark.stamp))
        return _Seen(Commit(mark.end, self._latest), self._not_before)

    def _begun(self, name: str) -> float:
        """Return when a file was begun: four bytes behind the mark of all binary logs."""
        with (self._directory / name).open("rb") as opened:
            opened.seek(len(MAGIC))
            return float(int.from_bytes(opened.read(4), "little"))

    def _names(self) -> list[str]:
        return logs(self._directory)

    def _size(self, name: str) -> int:
        try:
            return (self._directory / name).stat().st_size
        except FileNotFoundError:
            return 0

    def _gone(self, name: str) -> Broken:
        return Broken(f"the server's log {name} is gone, and was not archived")


def logs(directory: Path) -> list[str]:
    """Return the names of the log's files, the oldest first."""
    try:
        lines = (directory / INDEX).read_text().split()
    except FileNotFoundError:
        return []
    return [Path(line).name for line in lines]


@dataclass(frozen=True)
class _Seen:
    """A commit; all that was committed before `not_before` is before it in the log."""

    commit: Commit
    not_before: float


class _File:
    """One of the log's files, as far as it was looked at."""

    def __init__(self, path: Path, spot: Spot) -> None:
        """`spot`: where it is gone on with."""
        self.path = path
        self.commits: list[_Seen] = []
        self.first_seen: float | None = None
        self.scanner: Scanner | None = None
        self.begin = 0
        """Where it is gone on with, as soon as it was looked at."""
        self.whole = 0
        """The last end of a transaction, of those known, that is not after what was stored."""
        self._spot = spot
        self._file: BinaryIO | None = None
        self._description: Description | None = None

    @property
    def complete(self) -> int:
        return self.scanner.complete if self.scanner else 0

    @property
    def gap_end(self) -> int:
        return self.scanner.gap_end if self.scanner else 0

    def opened(self) -> bool:
        """Return whether there is something to look at yet."""
        if self._file is None:
            try:
                self._file = self.path.open("rb", buffering=0)
            except FileNotFoundError:
                raise Broken(
                    f"the server's log {self.path.name} is gone, and was not archived"
                ) from None
        if self.scanner is None:
            description = describe(self._file)
            if description is None:
                return False
            expected = self._spot.proof
            if expected and expected != proof(self._file, description, self._spot.offset):
                raise Broken(
                    f"the server's log {self.path.name} is not the one that was archived: it was"
                    " begun anew, or lost its end"
                )
            self._description = description
            self.begin = max(self._spot.offset, description.begin)
            self.whole = max(self._spot.whole or self._spot.offset, description.begin)
            self.scanner = Scanner(self._file, description, self.whole)
        return True

    def spot(self, offset: int) -> Spot:
        """Return a place in it, with what proves it."""
        whole = self.whole if self.whole < offset else 0
        return Spot(self.path.name, offset, self._proof(offset), whole)

    def _proof(self, offset: int) -> str:
        if self._description is None:
            return ""
        if self._file is not None:
            return proof(self._file, self._description, offset)
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            return proof(file, self._description, offset)
        return ""

    def advance(self) -> list[Mark]:
        if self._file is None or self.scanner is None:
            return []
        try:
            now = self.path.stat()
        except FileNotFoundError:
            now = None
        if now is None or now.st_ino != os.fstat(self._file.fileno()).st_ino:
            raise Broken(f"the server's log {self.path.name} was replaced, and was not archived")
        if now.st_size < self.scanner.complete:
            raise Broken(f"the server's log {self.path.name} is shorter than it was")
        return self.scanner.advance()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
