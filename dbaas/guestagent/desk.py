"""Take commands that were verified, run each of them once, and keep the answers.

Slow commands run one after the other in a thread of their own; so do those which take hours, that
others go on meanwhile; what must be answered at once (`ping`, `cancel`) has a third one; an
introduction is done where it arrives, by the owner of the connection that it changes.
"""

import collections
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS, GuestAgent, Verb
from dbaas.contract.messages import Cancelled, Fate
from dbaas.guestagent.journal import Journal, failure
from dbaas.rpc.envelope import Header

LOG = logging.getLogger(__name__)

INLINE = frozenset(("introduce",))
QUICK = frozenset(("ping", "cancel", "renew_grant"))
LONG = frozenset(("take_backup", "restore_backup", "check_data", "merge_archive"))
STOP_PATIENCE = 25.0
"""Seconds that a `cancel` waits for the end of a command that runs."""


class Stopped(Exception):
    """The command was cancelled while it ran."""


@dataclass
class Task:
    """A command on its way through the agent. Implements `Attempt`."""

    command: str
    method: str
    body: bytes = field(repr=False)
    journal: Journal = field(repr=False)
    unwanted: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def begun(self) -> bool:
        return self.journal.has_begun(self.command)

    def begin(self) -> None:
        self.journal.begin(self.command)

    def check(self) -> None:
        """Raise `Stopped` when it is not wanted any more; long ones call this between parts."""
        if self.unwanted.is_set():
            raise Stopped


class Lane:
    """A thread that runs tasks one after the other."""

    def __init__(self, name: str, run: Callable[[Task], None]) -> None:
        self._run = run
        self._tasks: collections.deque[Task] = collections.deque()
        self._running: Task | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, task: Task) -> None:
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    @property
    def busy(self) -> bool:
        return bool(self._tasks or self._running)

    def withdraw(self, command: str) -> Task | None:
        """Take the command out if it waits; return it if it runs already."""
        with self._changed:
            for task in self._tasks:
                if task.command == command:
                    self._tasks.remove(task)
                    break
            running = self._running
            return running if running and running.command == command else None

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._tasks)
                self._running = task = self._tasks.popleft()
            self._run(task)


class Desk:
    """Where commands arrive, and answers are."""

    def __init__(
        self,
        journal: Journal,
        serve: Callable[[Task], GuestAgent],
        complain: Callable[[str], None],
    ) -> None:
        """`serve` gives the endpoint that runs one command; `complain` gets a line for each failure
        that nobody expected."""
        self._journal = journal
        self._serve = serve
        self._lock = threading.Lock()  # between a command that arrives and its cancellation
        self._slow = Lane("commands", self._run)
        self._quick = Lane("questions", self._run)
        self._long = Lane("transfers", self._run)
        self._complain = complain

    def start(self) -> None:
        """Begin to work."""
        self._slow.start()
        self._quick.start()
        self._long.start()

    @property
    def busy(self) -> bool:
        """Whether an answer may come any moment: not that of a command that takes hours."""
        return self._slow.busy or self._quick.busy

    def take(self, header: Header, body: bytes, message: bytes) -> None:
        """Accept a command that was verified; on return it is on the disk, or refused.

        Raise `Invalid` or `Conflict` for one that will never be answered.
        """
        with self._lock:
            if self._journal.accept(header.command, header.epoch, message):
                self._begin(header, body)
            else:
                LOG.info("command %s %s again", header.command, header.method)

    def unfinished(self) -> list[tuple[str, bytes]]:
        """Return id and message of what an earlier life of the agent accepted, oldest first."""
        return self._journal.unfinished()

    def discard(self, command: str) -> None:
        """Forget a command of an earlier life that cannot be read any more."""
        self._journal.discard(command)

    def resume(self, header: Header, body: bytes) -> None:
        """Run a command again that an earlier life of the agent accepted: all may be repeated."""
        self._journal.resume(header.command, header.epoch)
        self._begin(header, body)

    def cancel(self, command: str) -> Cancelled:
        """Make sure that the command does not run any more; raise `Busy` while it still does."""
        with self._lock:
            running = self._slow.withdraw(command) or self._long.withdraw(command)
            if running is None:
                return Cancelled(self._fate(command))
        running.unwanted.set()
        if not running.ended.wait(STOP_PATIENCE):
            raise errors.Busy("the command cannot be stopped where it is; it goes on")
        return Cancelled(self._fate(command))

    def _fate(self, command: str) -> Fate:
        """Return what became of a command that does not run now, and never will from here on."""
        answer = self._journal.answer(command)
        if answer is None:
            self._journal.forestall(command)
            return Fate.NEVER_RAN
        if answer.fate is Fate.FINISHED:
            self._journal.send_again(command)
        return answer.fate

    def _begin(self, header: Header, body: bytes) -> None:
        LOG.info("command %s %s %s", header.command, header.method, header.request)
        task = Task(header.command, header.method, body, self._journal)
        if task.method in INLINE:
            self._run(task)
        elif task.method in QUICK:
            self._quick.put(task)
        elif task.method in LONG:
            self._long.put(task)
        else:
            self._slow.put(task)

    def _run(self, task: Task) -> None:
        fate = Fate.FINISHED
        try:
            body = {"ok": self._call(task)}
        except Stopped:
            fate, body = Fate.STOPPED, failure("Conflict", "the command was cancelled")
        except errors.Error as error:
            body = failure(type(error).__name__, error.text)
        except Exception as error:
            LOG.exception("command %s %s failed", task.command, task.method)
            self._complain(f"{task.method} {task.command} failed: {type(error).__name__}")
            body = failure("Failed", f"the guest agent failed while it ran {task.method!r}")
        self._journal.finish(task.command, fate, body)
        task.ended.set()
        LOG.info("command %s %s: %s", task.command, fate, body.get("error", "ok"))

    def _call(self, task: Task) -> Any:
        verb = GUEST_VERBS.get(task.method)
        if verb is None:
            raise errors.Unsupported(f"this agent knows no {task.method!r}")
        arguments = _arguments(verb, task.body)
        return codec.dump(getattr(self._serve(task), verb.name)(*arguments))


def _arguments(verb: Verb, body: bytes) -> tuple[Any, ...]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise errors.Invalid(f"the order {verb.name!r} is not JSON") from None
    expected = set() if verb.takes is None else {"args"}
    if not isinstance(data, dict) or set(data) != expected:
        raise errors.Invalid(f"the order {verb.name!r} lacks its value, or has others")
    return () if verb.takes is None else (codec.load(verb.takes, data["args"]),)
