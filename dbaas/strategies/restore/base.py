"""What a restore strategy does: makes the data of an engine that does not run from streams."""

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dbaas.contract import errors
from dbaas.engines import manifests
from dbaas.engines.base import Engine

Check = Callable[[], None]
"""Raises when it is not wanted any more; called often, also while a program is waited for."""
Bytes = bytes | memoryview


class Layout(Protocol):
    """Data that is on its way to being whole."""

    def unpack(self, contents: Iterable[Bytes], packed: str) -> None:
        """Add what one backup of the chain holds; the full one comes first.

        `packed`: `zst` or `gz`. A content is not looked at any more once the next is asked for.
        """

    def done(self) -> int:
        """Return how many bytes of data were unpacked so far, about."""

    def finish(self, complete: Callable[[Path], None] = lambda _data: None) -> int:
        """Make it the engine's data, in one step, and return its size in bytes.

        `complete` is called with the directory before that, where it is files that are restored.
        """


class RestoreStrategy(Protocol):
    """Made with the engine that it is for."""

    @property
    def physical(self) -> bool:
        """Whether it is the engine's files that are restored: then `check_version` is strict."""

    def begin(self, memory_mib: int, check: Check) -> AbstractContextManager[Layout]:
        """Begin; nothing of it is left once the context is left, unless it was finished.

        What an earlier attempt left is removed first.
        """


RestoreFactory = Callable[[Engine], RestoreStrategy]


def check_version(taken: str, here: str, *, physical: bool) -> None:
    """Raise `Unsupported` where a server of version `here` cannot have what `taken` had.

    Files go to the same release series, and not to an older server; statements go to a newer one
    too. Where a version does not say all (`11.8`), what it says is compared.
    """
    if physical and manifests.series(taken) != manifests.series(here):
        raise errors.Unsupported(
            f"a backup of files of version {taken} needs a server of the same release series,"
            f" and not {here}"
        )
    pairs = zip(_numbers(taken), _numbers(here), strict=False)
    first = next(((a, b) for a, b in pairs if a != b), (0, 0))
    if first[0] > first[1]:
        raise errors.Unsupported(
            f"a backup of version {taken} needs a server that is not older, and {here} is"
        )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("-")[0])]
