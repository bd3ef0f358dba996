"""What an archive strategy does: it reads an engine's log as it is written, and plays it again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dbaas.contract import errors
from dbaas.strategies.archive.pieces import Commit, Piece

Check = Callable[[], None]
"""Raises when it is not wanted any more."""


@dataclass(frozen=True)
class Spot:
    """A place in the log: everything before it is behind us. An empty file: the very begin."""

    file: str = ""
    offset: int = 0
    proof: str = ""
    """What the log says before it, as a digest: where it differs, it is another log of that name.
    Empty: not known."""
    whole: int = 0
    """Where the last transaction before it ended, if it is in the middle of one; 0: it is not."""


@dataclass(frozen=True)
class Cut:
    """Bytes of one file of the log that are to be stored next."""

    file: str
    begin: int
    end: int
    commits: tuple[Commit, ...] = ()
    until: float = 0.0
    """All that was committed before this moment, seconds since 1970, is in it or before it; 0: not
    known."""


class Broken(errors.Failed):
    """Something that was to be archived is gone: the stream ends here."""


class Tail(Protocol):
    """The end of an engine's log, as far as it is not archived. For one thread.

    Verbs raise `Broken`, and `Unavailable` where the log cannot be read now.
    """

    def look(self, clock: Callable[[], float], live: bool) -> None:
        """See what was written since; `clock` gives seconds since 1970.

        `live`: it was looked a moment ago, so that what is new was committed just now. Else the
        log's own time stamps say when, as far as they can be true.
        """

    @property
    def first_seen(self) -> float | None:
        """When the first of what could be cut now was seen; None: there is nothing."""

    @property
    def oldest(self) -> float | None:
        """When the first of what could be cut now was committed; None: there is nothing."""

    @property
    def pending(self) -> int:
        """Bytes of all that is not behind us, whether it can be cut yet or not."""

    @property
    def since(self) -> float:
        """From when on the log is known, seconds since 1970."""

    @property
    def ready(self) -> int:
        """Bytes that could be cut now."""

    @property
    def urgent(self) -> bool:
        """Whether nothing comes any more to what could be cut now."""

    @property
    def spot(self) -> Spot:
        """Where it is: everything before that is behind us."""

    @property
    def newest(self) -> str:
        """The file that is written to now."""

    def cut(self, limit: int, end: int = 0) -> Cut | None:
        """Return what comes next, of at most so many bytes; only whole transactions in the end.

        With `end`: exactly up to there, as it was cut once before.
        """

    def read(self, cut: Cut) -> tuple[bytes, str]:
        """Return a cut's bytes, and what has to stand before them (see `Head.description`)."""

    def passed(self, cut: Cut) -> None:
        """Go on behind it."""

    def behind(self) -> list[tuple[Path, int]]:
        """Return the files that are wholly behind us, oldest first, with their sizes."""


@dataclass(frozen=True)
class Goal:
    """Which part of a log is to be played: from a place on, what was committed until then."""

    begin: Spot
    until: float
    memory_mib: int = 512
    """What whoever plays it may take, a part of it at least."""


class ArchiveStrategy(Protocol):
    """What is made of an engine: how its log is read, kept until it is stored, and played."""

    def keep(self, keep: bool) -> None:
        """Have the engine itself remove nothing of its log, or again as before."""

    def tail(self, spot: Spot, latest: float) -> Tail:
        """Return the log from there on; `latest`: when the last of what is before was committed."""

    def forget(self, file: Path) -> None:
        """Have the engine remove what it logged before this file."""

    def play(self, data: Path, pieces: Iterable[Piece], goal: Goal, check: Check) -> float:
        """Have done, in a data directory that no server runs on, what the log says.

        Return when the last transaction of it was committed, or 0 if there was none. Raise `Failed`
        when the pieces do not reach from the begin to the end without a gap. Piece by piece is
        taken as it is needed.
        """
