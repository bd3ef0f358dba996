"""Looks things up for many at once: who asks while a request is under way shares the next one.

So a thousand operations that wait for their servers cost one request after the other, and not a
thousand at a time. An answer is never older than the question: a name that is not in it was not
there when somebody asked, which is what adopting before creating needs.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Round(Generic[T]):
    """One request to be: the names that it will ask for, and then what it brought."""

    names: set[str] = field(default_factory=set)
    led: bool = False
    """Whether somebody carries it out: the first who asked."""
    over: threading.Event = field(default_factory=threading.Event)
    found: Mapping[str, T] = field(default_factory=dict)
    error: BaseException | None = None


class Batches(Generic[T]):
    """`look` returns by name what there is of these names."""

    def __init__(self, look: Callable[[Collection[str]], Mapping[str, T]]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._next: _Round[T] = _Round()

    def find(self, name: str) -> T | None:
        """Return what has this name, or None; raise what `look` raises."""
        with self._lock:
            mine = self._next
            mine.names.add(name)
            leads, mine.led = not mine.led, True
        if leads:
            self._carry_out(mine)
        mine.over.wait()
        if mine.error is not None:
            raise mine.error
        return mine.found.get(name)

    def _carry_out(self, mine: "_Round[T]") -> None:
        """Ask for all who have joined until the request before this one is over."""
        with self._turn:
            with self._lock:
                self._next = _Round()
            try:
                mine.found = self._look(mine.names)
            except BaseException as error:  # noqa: BLE001 # everybody who waits gets it
                mine.error = error
            finally:
                mine.over.set()
