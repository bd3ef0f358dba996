"""Sees to it that a backup does its server no harm, and does not go on in vain."""

import time

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.host.pipes import Pipe

HOLD = 3.0
"""Seconds for which storage that is slow may make it hold commits."""
COMMITS_HELD, COMMITS_GO_ON = "BACKUP STAGE BLOCK_COMMIT", "All tables unlocked"
"""What it says of it."""

LOOK = 0.2
"""Seconds between two looks at that."""


class Watch:
    """Over one backup, whose first program says what it holds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._server = engine.process()
        self._held_since = 0.0
        self._next_look = 0.0
        self.pipe: Pipe | None = None
        """None: there is nothing to see yet, or any more."""

    def look(self) -> None:
        """Raise `Unavailable` when the server is another one, or commits wait for too long."""
        now = time.monotonic()
        if self.pipe is None or now < self._next_look:
            return
        self._next_look = now + LOOK
        if self._server is None or self._engine.process() != self._server:
            raise errors.Unavailable("the database server ended, or was restarted, meanwhile")
        said = self.pipe.said(0)
        held, going_on = said.rfind(COMMITS_HELD), said.rfind(COMMITS_GO_ON)
        if going_on > held:
            self._held_since = 0.0
        elif held > going_on and not self._held_since:
            self._held_since = now
        # Where it says neither any more, as only the end of what it says is kept, nothing changed.
        if self._held_since and now > self._held_since + HOLD:
            raise errors.Unavailable(
                "the storage was too slow at a moment at which the backup made commits wait"
            )
