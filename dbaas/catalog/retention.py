"""Which of a schedule's backups may go: a pure function."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """A backup that is there; `age` in days."""

    id: str
    parent_id: str | None
    age: float
    usable: bool
    """Whether it can be restored; one that is being made is neither usable nor over."""
    over: bool = True
    ours: bool = True
    """Whether it is of the schedule; another one is nobody's here to delete."""


@dataclass(frozen=True)
class Rule:
    """At most `count` usable backups, none older than `days`; None: as many, as old as they get."""

    count: int | None
    days: int | None


def surplus(backups: Sequence[Kept], rule: Rule) -> set[str]:
    """Return the ids of those that may go; with one goes all that builds on it.

    Never what one that stays builds on, never the newest that can be restored, and nothing that is
    still being made.
    """
    if rule.count is None and rule.days is None:
        return set()
    ours = [one for one in backups if one.ours]
    newest = sorted((one for one in ours if one.usable), key=lambda one: one.age)
    wanted = {one.id for one in backups if not one.ours or not one.over}
    wanted |= {one.id for n, one in enumerate(newest) if n == 0 or _is_wanted(n, one, rule)}
    over = [one for one in ours if one.over]
    wanted |= {one.id for one in over if not one.usable and _is_news(one, over, rule)}
    return {one.id for one in backups} - _with_ancestors(wanted, backups)


def _is_wanted(place: int, one: Kept, rule: Rule) -> bool:
    return (rule.count is None or place < rule.count) and (
        rule.days is None or one.age <= rule.days
    )


def _is_news(failed: Kept, over: Sequence[Kept], rule: Rule) -> bool:
    """Tell whether nobody may have seen yet that it failed: until as many others are newer.

    Those that failed count, too: each takes of the project's quota, and where all fail for long,
    none could be made any more.
    """
    newer = sum(1 for one in over if one.age < failed.age)
    return _is_wanted(newer, failed, rule)


def _with_ancestors(ids: Iterable[str], backups: Sequence[Kept]) -> set[str]:
    parents = {one.id: one.parent_id for one in backups}
    found: set[str] = set()
    for id_ in ids:
        current: str | None = id_
        while current is not None and current not in found:
            found.add(current)
            current = parents.get(current)
    return found


def tops(surplus: set[str], backups: Sequence[Kept]) -> list[str]:
    """Return those of them with which all others go: those that build on none of them."""
    return [one.id for one in backups if one.id in surplus and one.parent_id not in surplus]
