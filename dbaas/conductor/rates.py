"""Counts what each guest says: who says too much, and how much of it is worth a line in the log."""

from collections import Counter
from dataclasses import dataclass, field


class Rates:
    """Finds guests that say too much: more than `LIMIT` a second, for two seconds and more.

    Counted in whole seconds of the clock, of which it takes three in a row: a burst may lie across
    the border of two.

    Large messages count as several. With several conductors each hears its part of what a guest
    says, and so has its part of the limits: of what is above them, one hears more than its part.
    Honest guests cannot reach the limit even with all that the broker kept for them while no
    conductor ran: their event queue forgets after two minutes.
    """

    LIMIT = 50.0
    FLOOD = 2000.0
    """In one second: nobody waits for the second one."""
    BYTES = 8192
    """What counts as another message."""

    def __init__(self) -> None:
        self.conductors = 1
        """How many share the limits."""
        self._second = 0
        self._said: dict[str, float] = {}
        self._loud: set[str] = set()
        """Who was too loud in the second before, and"""
        self._long_loud: set[str] = set()
        """in the one before that, too."""

    def count(self, guest: str, size: int, now: float) -> bool:
        """Count a message of `size` bytes at `now` (seconds); return whether it was too much."""
        if (second := int(now)) != self._second:
            follows = second == self._second + 1
            limit = self.LIMIT / self.conductors
            loud = {name for name, said in self._said.items() if said > limit}
            self._long_loud = loud & self._loud if follows else set()
            self._loud = loud if follows else set()
            self._said = {}
            self._second = second
        said = self._said.get(guest, 0.0) + 1 + size // self.BYTES
        self._said[guest] = said
        whole = said * self.conductors
        return whole > self.LIMIT and (guest in self._long_loud or whole > self.FLOOD)


@dataclass
class Ration:
    """So many a minute for each guest and reason; what goes beyond is counted."""

    size: int
    _minute: int = 0
    _used: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take(self, guest: str, reason: str = "") -> bool:
        """Use one up; return False when there is none left. There are few reasons, all of ours."""
        self._used[guest, reason] += 1
        return self._used[guest, reason] <= self.size

    def over(self, now: float) -> dict[str, int]:
        """Begin a new minute if `now` (seconds) is in one; return what went beyond in the last."""
        if (minute := int(now // 60)) == self._minute:
            return {}
        beyond: Counter[str] = Counter()
        for (guest, _), n in self._used.items():
            if n > self.size:
                beyond[guest] += n - self.size
        self._minute = minute
        self._used.clear()
        return dict(beyond)
