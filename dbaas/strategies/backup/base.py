"""What a backup strategy does: gives an engine's data as a stream, and then says what it gave."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from dbaas.contract import errors
from dbaas.engines.base import Engine

Check = Callable[[], None]
"""Raises when it is not wanted any more; called often, also while a program is waited for."""


@dataclass(frozen=True)
class Taken:
    """What was given; sizes in bytes, `taken_at` in seconds since 1970 by the guest's clock."""

    data_size: int
    """Of the stream before it was packed."""
    restored_size: int
    taken_at: float
    engine_version: str
    position: Mapping[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """A backup on its way: packed, not encrypted."""

    def read(self, into: memoryview) -> int:
        """Fill it as far as there is something left; 0 at the end."""

    def done(self) -> int:
        """Return how many bytes of data it has given so far, before they were packed; about."""

    @property
    def total(self) -> int:
        """How many there will be, about."""

    def watch(self) -> None:
        """Raise `Unavailable` when it cannot come to a good end any more; called often."""

    def taken(self) -> Taken:
        """Say, once all is read, what was given; raise `Failed` when it was not all.

        `Unavailable` when the database server ended on the way.
        """


class BackupStrategy(Protocol):
    """Made with the engine that it is for. The engine keeps serving meanwhile."""

    def take(self, since: Mapping[str, str], check: Check) -> AbstractContextManager[Stream]:
        """Begin; nothing of it runs any more, and no lock is held, once the context is left.

        `since`: the position of the backup on which it builds, empty for a full one. Raise
        `Unsupported` where the strategy knows no such, `Conflict` where `since` is no position of
        this engine, `Unavailable`, `Forbidden`.
        """


BackupFactory = Callable[[Engine], BackupStrategy]


def refuse_increment(since: Mapping[str, str], name: str) -> None:
    if since:
        raise errors.Unsupported(f"the strategy {name} takes full backups only")
