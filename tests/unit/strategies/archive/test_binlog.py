"""What is cut of a log, by an agent that may begin anew anywhere."""

from pathlib import Path

import pytest

from dbaas.strategies.archive.base import Broken, Spot
from dbaas.strategies.archive.binlog import BinlogTail
from dbaas.strategies.archive.events import Kind
from tests import binlogs
from tests.binlogs import event, transaction

NOW = 2000.0
LIMIT = 1000


def write(directory: Path, *transactions: bytes) -> bytes:
    """Have a log of these there; return what of it is to be cut."""
    content = b"".join(transactions)
    binlogs.begin(directory, content)
    return content


def opened(directory: Path, spot: Spot) -> BinlogTail:
    tail = BinlogTail(directory, spot)
    tail.look(lambda: NOW, live=False)
    return tail


@pytest.mark.parametrize("restarted", [False, True])
def test_a_transaction_is_cut_in_parts_whoever_goes_on_with_it(
    tmp_path: Path, restarted: bool
) -> None:
    content = write(tmp_path, transaction(100), transaction(4500), transaction(100, 1010))
    tail = opened(tmp_path, Spot())
    parts, ends = [], []
    while (cut := tail.cut(LIMIT)) is not None:
        parts.append(tail.read(cut)[0])
        ends += [commit.end for commit in cut.commits]
        tail.passed(cut)
        assert tail.ready <= len(content) - len(b"".join(parts))
        if restarted:
            tail.close()
            tail = opened(tmp_path, tail.spot)
    tail.close()
    assert b"".join(parts) == content
    assert len(parts) > 4
    assert ends[-1] == (tmp_path / "binlog.000001").stat().st_size
    assert tail.oldest is None


def test_a_stream_ends_where_the_server_says_that_changes_are_missing(tmp_path: Path) -> None:
    before = write(tmp_path, transaction(100), transaction(100, 1010))
    tail = opened(tmp_path, Spot())
    with (tmp_path / "binlog.000001").open("ab") as file:
        file.write(transaction(100, 1020) + event(Kind.INCIDENT, b"lost", 1020))
    tail.look(lambda: NOW + 1, live=True)
    cut = tail.cut(LIMIT)
    assert cut is not None
    assert tail.read(cut)[0] == before + transaction(100, 1020)
    assert cut.until < NOW + 1
    tail.look(lambda: NOW + 2, live=True)
    tail.passed(cut)
    for spot in (None, tail.spot):
        with pytest.raises(Broken, match=r"could not log all changes.*binlog\.000001"):
            tail.look(lambda: NOW + 3, live=True)
        tail.close()
        if spot:
            tail = BinlogTail(tmp_path, spot)


def test_a_new_stream_begins_after_what_is_missing(tmp_path: Path) -> None:
    gap = event(Kind.INCIDENT, b"lost")
    write(tmp_path, transaction(100), gap, transaction(200), gap, transaction(300, 1990))
    tail = opened(tmp_path, Spot())
    cut = tail.cut(LIMIT)
    assert cut is not None
    assert tail.read(cut)[0] == transaction(300, 1990)
    assert tail.since == NOW
    tail.close()
