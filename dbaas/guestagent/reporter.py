"""Say what happens in the guest: answers for sure, heartbeats and log lines as far as possible."""

import collections
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from dbaas.contract import codec, errors
from dbaas.contract.messages import Health
from dbaas.guestagent.identity import Identity
from dbaas.guestagent.journal import Journal, failure
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header

LOG = logging.getLogger(__name__)

CHANGES = 16
"""Changes of status that wait for a connection; the oldest are forgotten."""
LOG_INTERVAL = 10.0
"""Seconds between two log lines to the control plane."""
LOG_LENGTH = 500
FIRST_REST, LONGEST_REST = 0.5, 10.0
"""Seconds without a word after the broker had no room for one; each is doubled, and jittered down
to half."""


class Sender(Protocol):
    def publish(self, kind: str, body: bytes) -> None: ...


class Reporter:
    """Collects from any thread; the owner of the connection publishes."""

    def __init__(
        self, boot: int, journal: Journal, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._boot = boot
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._sequence = 0
        self._healths: collections.deque[Health] = collections.deque(maxlen=CHANGES)
        self._lines: collections.deque[str] = collections.deque(maxlen=1)
        self._next_line = 0.0
        self._rest = FIRST_REST
        self._rests_until = 0.0

    def heartbeat(self, health: Health) -> None:
        """Have this said; of those that wait and say the same status, only the last is worth it."""
        with self._lock:
            if self._healths and self._healths[-1].service is health.service:
                self._healths.pop()
            self._healths.append(health)

    def log(self, text: str) -> None:
        """Have this said, unless a line was said just before."""
        with self._lock:
            self._lines.append(text[:LOG_LENGTH])

    def publish(self, sender: Sender, me: Identity) -> None:
        """Say everything that is to be said; raise `Unavailable` when the connection is lost.

        What the broker had no room for is said again later, as is what is said while it rests.
        """
        if self._clock() < self._rests_until:
            return
        try:
            self._publish(sender, me)
        except errors.Busy as error:
            LOG.warning("not said yet: %s", error)
            self._rests_until = self._clock() + self._rest * random.uniform(0.5, 1.0)  # noqa: S311
            self._rest = min(2 * self._rest, LONGEST_REST)
        else:
            self._rest = FIRST_REST

    def _publish(self, sender: Sender, me: Identity) -> None:
        """Heartbeats first: they are older than the health that an answer may give."""
        while (health := self._first_health()) is not None:
            self._say(sender, me, "hb", codec.dump(health))
            self._has_said(health)
        for command, answer in self._journal.unsent():
            try:
                self._say(sender, me, "result", answer.body, command, answer.epoch)
            except errors.Invalid as error:
                too_long = failure("Failed", f"the answer cannot be sent: {error.text}")
                self._say(sender, me, "result", too_long, command, answer.epoch)
            self._journal.sent(command, answer)
        line = self._due_line()
        if line is not None:
            self._say(sender, me, "log", {"level": "error", "text": line})

    def _first_health(self) -> Health | None:
        with self._lock:
            return self._healths[0] if self._healths else None

    def _has_said(self, health: Health) -> None:
        with self._lock:
            if self._healths and self._healths[0] is health:  # else a newer one took its place
                self._healths.popleft()

    def _due_line(self) -> str | None:
        with self._lock:
            now = self._clock()
            if not self._lines or now < self._next_line:
                return None
            self._next_line = now + LOG_INTERVAL
            return self._lines.popleft()

    def _say(
        self, sender: Sender, me: Identity, kind: str, body: Any, command: str = "", epoch: int = 0
    ) -> None:
        self._sequence += 1
        header = Header(
            v=envelope.VERSION,
            instance=me.instance,
            key=me.key_id,
            direction=envelope.UP,
            command=command,
            epoch=epoch,
            boot=self._boot,
            seq=self._sequence,
            sent=time.time(),
            method=kind,
        )
        sender.publish(kind, envelope.seal(me.event_key, header, json.dumps(body).encode()))
