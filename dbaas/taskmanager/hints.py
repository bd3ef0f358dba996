"""Which operations to look at, and when: hints in memory, never the only copy of anything."""

import heapq
import itertools
import threading
import time

_MOST = 100_000
_FAR = 60.0
"""Seconds; what is further away is found by looking into the catalog."""


class Hints:
    """A clock of operation ids; any thread adds, the picker takes."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False

    def now(self, operation_id: str) -> None:
        """Look at this operation as soon as possible."""
        self.after(operation_id, 0.0)

    def after(self, operation_id: str, seconds: float) -> None:
        """Look at this operation in `seconds`."""
        if seconds > _FAR:
            return
        with self._changed:
            if len(self._due) < _MOST:
                entry = (time.monotonic() + seconds, next(self._order), operation_id)
                heapq.heappush(self._due, entry)
                self._changed.notify()

    def next(self, timeout: float) -> str | None:
        """Return an operation whose time has come; None after `timeout` seconds, or at the end."""
        until = time.monotonic() + timeout
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    return heapq.heappop(self._due)[2]
                if now >= until:
                    return None
                wake = min(until, self._due[0][0]) if self._due else until
                self._changed.wait(wake - now)
            return None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
