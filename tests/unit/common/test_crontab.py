"""When a cron expression's time comes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbaas.common import crontab
from dbaas.contract import errors

BERLIN = "Europe/Berlin"


def utc(*parts: int) -> datetime:
    """Return a moment as the catalog has it: UTC, without saying so."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type] # parts of a date


def runs(cron: str, zone: str, begin: datetime, count: int) -> list[str]:
    found, moment = [], begin
    for _ in range(count):
        moment = crontab.next_after(cron, zone, moment)
        found.append(moment.strftime("%d %H:%M"))
    return found


def test_times_are_those_of_the_zone() -> None:
    assert runs("0 3 * * *", BERLIN, utc(2026, 1, 1, 12), 2) == ["02 02:00", "03 02:00"]
    assert runs("0 3 * * *", BERLIN, utc(2026, 7, 1, 12), 2) == ["02 01:00", "03 01:00"]


def test_an_hour_that_is_skipped_is_had_at_its_end() -> None:
    assert runs("30 2 * * *", BERLIN, utc(2026, 3, 28, 12), 2) == ["29 01:00", "30 00:30"]


def test_an_hour_that_comes_twice_is_had_once() -> None:
    begin = utc(2026, 10, 24, 12)
    assert runs("30 2 * * *", BERLIN, begin, 2) == ["25 00:30", "26 01:30"]


def test_every_hour_is_every_hour() -> None:
    begin = utc(2026, 10, 24, 22, 30)
    assert runs("0 * * * *", BERLIN, begin, 4) == ["24 23:00", "25 00:00", "25 01:00", "25 02:00"]


@given(st.datetimes(utc(2025, 1, 1), utc(2030, 1, 1)))
def test_the_next_is_later_and_none_is_between(moment: datetime) -> None:
    following = crontab.next_after("*/20 1-3 * * *", BERLIN, moment)
    assert moment < following <= moment + timedelta(hours=25)
    before = following - timedelta(microseconds=1)
    assert crontab.next_after("*/20 1-3 * * *", BERLIN, before) == following


def test_a_time_counts_once_for_whoever_looks_again_and_again() -> None:
    noon, second = utc(2026, 5, 3, 12), timedelta(seconds=1)
    assert crontab.comes_within("0 12 * * 0", "UTC", noon - second, noon)
    assert not crontab.comes_within("0 12 * * 0", "UTC", noon, noon + second)
    assert not crontab.comes_within("0 12 * * 0", "UTC", noon + second / 2, noon + second)
    assert not crontab.comes_within("0 12 * * 1", "UTC", noon, noon)
    assert crontab.comes_within("0 12 * * 1", "UTC", noon, noon + timedelta(days=2))


@pytest.mark.parametrize(
    ("cron", "zone", "words"),
    [
        ("0 3 * *", "UTC", "five fields"),
        ("61 3 * * *", "UTC", "five fields"),
        ("@daily", "UTC", "five fields"),
        ("R * * * *", "UTC", "five fields"),
        ("H 3 * * *", "UTC", "five fields"),
        ("* * * * * *", "UTC", "five fields"),
        ("0 3 31 2 *", "UTC", "no day"),
        ("0 3 * * *", "Mars/Olympus", "time zone"),
    ],
)
def test_what_cannot_be_is_named(cron: str, zone: str, words: str) -> None:
    with pytest.raises(errors.Invalid, match=words):
        crontab.check(cron, zone)


def test_days_and_months_have_names() -> None:
    crontab.check("0 3 * jan-mar mon,Wed", "UTC")
