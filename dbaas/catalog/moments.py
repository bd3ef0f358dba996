"""The catalog's clock, as SQL: moments and seconds between them; no process's clock is trusted."""

from typing import Any

from sqlalchemy import func, literal_column

NOW = func.now(6)
DAY = 86400.0
"""Seconds."""


def later(seconds: float) -> Any:
    """Return the moment that many seconds from now."""
    return later_by(int(seconds * 1e6))


def later_by(microseconds: Any) -> Any:
    """Return the moment that many microseconds from now, which may be a parameter's."""
    return func.timestampadd(literal_column("MICROSECOND"), microseconds, NOW)


def seconds_until(moment: Any) -> Any:
    return func.timestampdiff(literal_column("MICROSECOND"), NOW, moment) / literal_column("1e6")


def seconds_since(moment: Any) -> Any:
    return func.timestampdiff(literal_column("MICROSECOND"), moment, NOW) / literal_column("1e6")
