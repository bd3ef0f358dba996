"""Strategies by name: found as entry points, so that a new one is a file and a line.

Nothing is imported but what is asked for, and the machinery of entry points only then: an agent
that does nothing of this starts without it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from dbaas.contract import errors

GROUP = "dbaas.strategies."


def names(kind: str) -> Sequence[str]:
    """Return the names under which strategies of this kind are registered, in order."""
    from importlib.metadata import entry_points

    return tuple(sorted({point.name for point in entry_points(group=GROUP + kind)}))


def load(kind: str, name: str) -> Callable[..., Any]:
    """Return what makes the strategy; raise `Unsupported` where none has this name."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP + kind, name=name):
        made: Callable[..., Any] = point.load()
        return made
    known = ", ".join(names(kind)) or "none"
    raise errors.Unsupported(f"there is no {kind} strategy {name[:32]!r} here, but {known}")
