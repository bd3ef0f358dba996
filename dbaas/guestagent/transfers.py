"""The long commands that run: how far they are, and leave for them to go on."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from dbaas.contract.messages import GrantRenewal, Progress
from dbaas.strategies.storage.base import Leave

RECENT = 15.0
"""Seconds over which a rate is measured."""


@dataclass
class Transfer:
    """One of them. Its functions may be replaced as it goes on: they tell numbers of bytes."""

    done: Callable[[], int] = lambda: 0
    total: Callable[[], int] = lambda: 0
    stored: Callable[[], int] = lambda: 0
    leave: Leave | None = None
    backup: str = ""
    """Which one the leave is for."""
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def progress(self, now: float) -> Progress:
        """`now`: seconds on a clock that only goes on."""
        done = self.done()
        self._seen.append((now, done))
        while len(self._seen) > 1 and self._seen[0][0] < now - RECENT:
            self._seen.popleft()
        (began, before), span = self._seen[0], now - self._seen[0][0]
        rate = max(0.0, (done - before) / span) if now > began else 0.0
        wants = self.leave.wants if self.leave else 0
        return Progress(done, max(self.total(), done), self.stored(), rate, wants, self.backup)


class Transfers:
    """Those of one guest; for any number of threads."""

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        """`tell` is called when the control plane should hear of it at once."""
        self.tell = tell
        self._running: dict[str, Transfer] = {}
        self._lock = threading.Lock()

    @contextmanager
    def running(self, command: str) -> Iterator[Transfer]:
        """Have a command's progress told while it runs."""
        transfer = Transfer()
        with self._lock:
            self._running[command] = transfer
        self.tell()
        try:
            yield transfer
        finally:
            with self._lock:
                del self._running[command]

    def progress(self) -> Mapping[str, Progress]:
        """Return how far each is, by its command's id."""
        now = time.monotonic()
        with self._lock:
            return {command: each.progress(now) for command, each in self._running.items()}

    def renew(self, order: GrantRenewal) -> None:
        """Give it another grant, if it runs and is at that backup."""
        with self._lock:
            transfer = self._running.get(order.command)
        if transfer and transfer.leave and order.backup in ("", transfer.backup):
            transfer.leave.renew(order.grant)
