"""The guest's half of storage: objects go there, and come from there, by grants and nothing else.

What a grant is made of is the affair of the control half of the same name (`strategies/grants/`).
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from dbaas.contract import errors
from dbaas.contract.messages import Grant, Segment
from dbaas.contract.secret import Secret

AHEAD = 16
"""Segments for which leave is wanted before they are there, so that nobody has to wait for it."""
PATIENCE = 60.0
"""Seconds to wait for another grant when the one at hand is of no use."""
LOOK = 0.2
"""Seconds between two looks at whether it is still wanted."""

Check = Callable[[], None]
"""Raises when it is not wanted any more; any thread may call it."""

T = TypeVar("T")


class Refused(Exception):
    """The storage does not take the grant, or not any more."""


class Expired(errors.Unavailable):
    """There is no leave, and none came."""


class Storage(Protocol):
    """One connection to one kind of storage, for one thread at a time.

    Verbs raise `Refused` for the grant's part, `errors.NotFound` for what is not there,
    `errors.OverQuota` where there is no room, `errors.Failed` for what trying again does not help,
    and `errors.Unavailable` for all that it may.
    """

    @property
    def tells_md5(self) -> bool:
        """Whether the storage knows objects by their MD5, so that it is worth computing."""

    def put(self, url: Secret, segment: Segment, content: memoryview) -> None:
        """Store the object; when this returns the storage has it, whole. May be repeated."""

    def get(self, url: Secret, into: memoryview) -> int:
        """Read the object, and return its size; `Failed` for one that is longer than `into`."""

    def stream(self, url: Secret, into: memoryview, begin: int) -> tuple[int, int]:
        """Read from this byte on, as far as there is room or there is any; how many, and of how
        many in all."""

    def close(self) -> None:
        """Let go of the connection; one that is in use by another thread ends at once."""


def url(grant: Grant, name: str) -> Secret | None:
    """Return the URL of an object by its name below the prefix; None: no leave for that one."""
    if name in grant.urls:
        return grant.urls[name]
    if grant.url is None:
        return None
    return Secret(grant.url.reveal().replace("{name}", name))


class Leave:
    """The grant that counts now, for any thread. Who needs another says so, and waits."""

    def __init__(
        self,
        grant: Grant,
        changed: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        """`changed` is called when `wants` has changed."""
        self._grant = grant
        self._changed = changed
        self._patience = patience
        self._renewed = threading.Condition()
        self._wants = 0

    @property
    def wants(self) -> int:
        """The first segment that there is no leave for, of those that are needed soon; or 0."""
        return self._wants

    @property
    def grant(self) -> Grant:
        return self._grant

    def renew(self, grant: Grant) -> None:
        """Go on with this one."""
        with self._renewed:
            self._grant = grant
            self._wants = 0
            self._renewed.notify_all()
        self._changed()

    def look_ahead(self, number: int, name_of: Callable[[int], str], last: int = 0) -> None:
        """Want leave in time for what follows segment `number`, up to `last` if that is known."""
        end = min(number + AHEAD, last) if last else number + AHEAD
        for each in range(number, end + 1):
            if url(self._grant, name_of(each)) is None:
                self._want(each)
                return

    def use(self, name: str, number: int, verb: Callable[[Grant, Secret], T], check: Check) -> T:
        """Call `verb` with a grant and the object's URL by it, until one is not refused.

        `number`: the segment to name when there is no leave. Raise `Expired` when none came.
        """
        refused: Grant | None = None
        while True:
            grant = self._usable(name, number, refused, check)
            address = url(grant, name)
            if address is None:
                refused = grant
                continue
            try:
                return verb(grant, address)
            except Refused:
                refused = grant

    def _usable(self, name: str, number: int, refused: Grant | None, check: Check) -> Grant:
        """Return the grant that counts, as soon as it is another than the refused one."""
        if self._grant is not refused:
            return self._grant
        self._want(number)
        expired = time.monotonic() + self._patience
        while self._grant is refused:
            check()
            with self._renewed:
                self._renewed.wait_for(lambda: self._grant is not refused, LOOK)
            if self._grant is refused and time.monotonic() > expired:
                raise Expired(
                    f"the leave to use {name} in the storage has run out, and no other came"
                )
        return self._grant

    def _want(self, number: int) -> None:
        with self._renewed:
            if self._wants and self._wants <= number:
                return
            self._wants = number
        self._changed()
