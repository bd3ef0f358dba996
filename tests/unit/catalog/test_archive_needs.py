"""Which objects of a stream are needed by which backups."""

from dataclasses import replace

import pytest

from dbaas.catalog import archive_needs
from dbaas.catalog.archive_needs import Base
from dbaas.catalog.archives import StreamRecord
from dbaas.catalog.records import Reached
from dbaas.contract.messages import ArchiveReport

REPORT = ArchiveReport("s", sequence=90, since=1000.0, until=2000.0)
LIVE = StreamRecord("s", "i", "p", "mariadb_binlog", "local", "a", "c", None, True, REPORT)
ENDED = replace(LIVE, live=False)
HERE, ELSEWHERE = Reached("s", 40), Reached("t", 7)


@pytest.mark.parametrize(
    ("base", "live", "ended"),
    [
        (Base(HERE, 1500.0), 40, 40),
        (Base(HERE, None), 40, 40),
        (Base(None, 1500.0), 1, 1),
        (Base(None, None), 1, 1),
        (Base(ELSEWHERE, None), 1, 1),
        (Base(ELSEWHERE, 1500.0), 1, 1),  # that stream broke while it was taken
        (Base(ELSEWHERE, 900.0), 90, None),
        (Base(ELSEWHERE, 2100.0), 1, None),
        (Base(HERE, 2100.0), 40, None),
        (Base(Reached("s", 0), 1500.0), 1, 1),
    ],
    ids=str,
)
def test_a_backup_needs_what_was_not_stored_before_it(
    base: Base, live: int, ended: int | None
) -> None:
    assert archive_needs.needed_from(LIVE, [base]) == live
    assert archive_needs.needed_from(ENDED, [base]) == ended


def test_the_oldest_decides() -> None:
    bases = [Base(Reached("s", number), 1500.0) for number in (60, 30, 80)]
    assert archive_needs.needed_from(LIVE, bases) == 30
    assert archive_needs.needed_from(ENDED, bases) == 30


def test_without_backups_only_a_live_one_is_needed() -> None:
    assert archive_needs.needed_from(LIVE, []) == 90
    assert archive_needs.needed_from(ENDED, []) is None
    assert archive_needs.needed_from(replace(LIVE, report=None), []) == 1


def test_what_nobody_knows_the_end_of_stays_with_the_last_backup() -> None:
    unknown = replace(ENDED, report=ArchiveReport("s"))
    assert archive_needs.needed_from(unknown, [Base(ELSEWHERE, 5.0)]) == 1
    assert archive_needs.needed_from(unknown, []) is None


def test_what_is_gone_is_needed_by_nobody_that_comes_later() -> None:
    pruned = replace(LIVE, needed_from=50)
    assert archive_needs.first_object(pruned, None) == 50
    assert archive_needs.first_object(pruned, Reached("s", 0)) == 50
    assert archive_needs.first_object(pruned, Reached("s", 60)) == 60
    assert archive_needs.needed_from(replace(pruned, report=ArchiveReport("s")), []) == 50
