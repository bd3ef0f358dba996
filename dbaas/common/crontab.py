"""When a cron expression's time comes, in a time zone; moments are UTC without zone.

A run whose hour is skipped when clocks go forward comes at the end of that hour; one whose hour
comes twice when they go back is had once, unless it is to be had every hour.
"""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from croniter import CroniterError, croniter

from dbaas.contract import errors

FIELDS = 5
_PLAIN = re.compile(r"(\d|[*/,\s-]|(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z]))+", re.ASCII)
"""Numbers, and names of days and months: not what is drawn by lot, as `R` and `H`."""


def check(cron: str, zone: str, name: str = "cron") -> None:
    """Raise `Invalid` naming what of the two cannot be."""
    if zone not in available_timezones():
        raise errors.Invalid(
            f"timezone must be one of the IANA time zone database, as Europe/Berlin, not"
            f" {zone[:64]!r}."
        )
    fields = len(cron.split())
    if fields != FIELDS or not _PLAIN.fullmatch(cron) or not croniter.is_valid(cron):
        raise errors.Invalid(
            f"{name} must have the five fields minute, hour, day of month, month and day of week,"
            f" as '0 3 * * 0', not {cron[:64]!r}."
        )
    try:
        next_after(cron, zone, datetime(2024, 1, 1))  # noqa: DTZ001 # UTC, as everywhere here
    except CroniterError:
        raise errors.Invalid(f"{name}: {cron[:64]!r} names no day that there is.") from None


def is_known(zone: str) -> bool:
    """Return whether this host has the zone: another one may have a newer database of them."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def next_after(cron: str, zone: str, moment: datetime) -> datetime:
    """Return the first time after `moment`."""
    local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    times = croniter(cron, local)
    while True:
        found: datetime = times.get_next(datetime)
        again = found.fold == 1 and found.replace(fold=0).utcoffset() != found.utcoffset()
        if not (again and _is_at_hours(cron)):
            return found.astimezone(UTC).replace(tzinfo=None)


def comes_within(cron: str, zone: str, begin: datetime, end: datetime) -> bool:
    """Return whether one of its times is after `begin`, and `end` or before."""
    return next_after(cron, zone, begin) <= end


def _is_at_hours(cron: str) -> bool:
    """Tell whether it names hours, rather than all of them or every so many."""
    return "*" not in cron.split()[1]
