"""Which bytes of a log are played, and in which files."""

from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.strategies.archive import pieces, playing
from dbaas.strategies.archive.base import Goal, Spot
from dbaas.strategies.archive.events import MAGIC
from dbaas.strategies.archive.pieces import Commit, Head, Piece

DESCRIPTION = b"header"
"""Behind it, the first event is at 10."""


def piece(number: int, file: int, begin: int, *commits: tuple[int, float], end: int = 0) -> Piece:
    end = end or commits[-1][0]
    head = Head(
        "i", "s", number, f"log.{file:06d}", begin, end, tuple(Commit(*each) for each in commits),
        DESCRIPTION.hex(),
    )  # fmt: skip
    return pieces.pack(head, bytes(range(begin, end)))


ROW = (
    piece(1, 1, 10, (20, 1.0), (30, 2.0)),
    piece(2, 1, 30, (40, 3.0)),
    piece(3, 2, 10, end=50),  # from the middle of a transaction
    piece(4, 2, 50, (60, 4.0), (70, 5.0)),
)


def played(goal: Goal, tmp_path: Path, once: int = 1000) -> list[bytes]:
    return [part.path.read_bytes() for part in playing.parts(ROW, goal, tmp_path, once)]


def content(begin: int, end: int) -> bytes:
    return MAGIC + DESCRIPTION + bytes(range(begin, end))


def test_each_file_is_put_together_again(tmp_path: Path) -> None:
    assert played(Goal(Spot(), 9.0), tmp_path) == [content(10, 40), content(10, 70)]


def test_it_begins_at_the_place_and_ends_with_the_moment(tmp_path: Path) -> None:
    begin = Spot("log.000001", 20)
    assert played(Goal(begin, 4.5), tmp_path) == [content(20, 40), content(10, 60)]
    assert played(Goal(begin, 2.5), tmp_path) == [content(20, 30)]


def test_the_begin_of_a_transaction_that_came_too_late_is_left_out(tmp_path: Path) -> None:
    assert played(Goal(Spot(), 3.5), tmp_path) == [content(10, 40)]


def test_nothing_is_played_where_nothing_was_committed_in_time(tmp_path: Path) -> None:
    assert played(Goal(Spot("log.000002", 70), 9.0), tmp_path) == []
    assert played(Goal(Spot(), 0.5), tmp_path) == []


def test_much_is_played_in_parts_between_transactions(tmp_path: Path) -> None:
    parts = [content(10, 30), content(30, 40), content(10, 70)]
    assert played(Goal(Spot(), 9.0), tmp_path, once=10) == parts


def test_files_without_commits_are_no_gap(tmp_path: Path) -> None:
    row = [ROW[0], piece(2, 4, 10, (20, 3.0))]
    for begin in (Spot(), Spot("log.000001", 30), Spot("log.000002", 40)):
        assert content(10, 20) in [
            part.path.read_bytes() for part in playing.parts(row, Goal(begin, 9.0), tmp_path)
        ]
    for later in (Spot("log.000001", 30), Spot("log.000003", 40)):
        with pytest.raises(errors.Failed, match="needed from"):
            list(playing.parts([piece(1, 4, 12, (20, 3.0))], Goal(later, 9.0), tmp_path))


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_gap_is_noticed(tmp_path: Path, missing: int) -> None:
    row = [each for each in ROW if each.head.sequence != missing]
    with pytest.raises(errors.Failed, match=r"gap|needed from"):
        list(playing.parts(row, Goal(Spot("log.000001", 12), 9.0), tmp_path))
