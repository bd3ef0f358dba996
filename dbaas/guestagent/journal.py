"""What the agent was ordered to do, and what it answered: on disk, so that a crash forgets nothing.

A command is a file that moves through three directories: `accepted` (the sealed message; it will
be run), `unsent` (its answer, which the broker does not have yet) and `sent`; in `begun` are the
names of those which have begun to change something. The same command
again is answered from there. It also knows the highest epoch of each operation: an order of a
former owner of the operation is told by its lower one.
"""

import json
import logging
import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dbaas.contract import codec, errors
from dbaas.contract.messages import Failure, Fate
from dbaas.host import files

LOG = logging.getLogger(__name__)

KEEP = 200
"""Answers that are kept for a repeated command."""

COMMAND = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}", re.ASCII)
"""A command's id, which is also the name of its file."""


@dataclass(frozen=True)
class Answer:
    """What became of a command; `body` is what the control plane gets to read."""

    epoch: int
    fate: Fate
    body: dict[str, Any] = field(repr=False)
    order: int
    """Counts the answers: the oldest are forgotten first."""


def failure(kind: str, text: str) -> dict[str, Any]:
    """Return the body of an answer that says what went wrong."""
    return {"error": codec.dump(Failure(kind, text))}


def operation(command: str) -> str:
    return command.partition(".")[0]


class Journal:
    """The commands of one guest; for any number of threads."""

    def __init__(self, directory: Path, keep: int = KEEP) -> None:
        self._accepted_in = directory / "accepted"
        self._unsent_in = directory / "unsent"
        self._sent_in = directory / "sent"
        self._begun_in = directory / "begun"
        self._keep = keep
        self._lock = threading.Lock()
        for each in (
            directory, self._accepted_in, self._unsent_in, self._sent_in, self._begun_in
        ):  # fmt: skip
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in files.leftovers(each):
                leftover.unlink()
        self._unsent = _read_answers(self._unsent_in)
        self._answers = {**_read_answers(self._sent_in), **self._unsent}
        self._count = max((answer.order for answer in self._answers.values()), default=0)
        self._accepted: dict[str, int] = {}
        self._begun = {path.name for path in self._begun_in.iterdir()}

    def unfinished(self) -> list[tuple[str, bytes]]:
        """Return id and message of what an earlier life of the agent accepted, oldest first."""
        paths = [path for path in self._accepted_in.iterdir() if path.name not in self._answers]
        paths.sort(key=lambda path: path.stat().st_mtime_ns)
        return [(path.name, path.read_bytes()) for path in paths]

    def discard(self, command: str) -> None:
        """Forget a command that cannot be run."""
        with self._lock:
            self._drop_accepted(command)

    def epoch(self, command: str) -> int:
        """Return the highest epoch seen of the operation that the command belongs to."""
        with self._lock:
            return self._epoch(command)

    def accept(self, command: str, epoch: int, message: bytes) -> bool:
        """Keep the message on disk; return whether the command is new and has to be run.

        A known one is answered again once it has ended. Raise `Invalid` for what is no command's
        id, `Conflict` for the order of a former owner of the operation.
        """
        if not COMMAND.fullmatch(command):
            raise errors.Invalid(f"{command!r} is no id of a command")
        with self._lock:
            if epoch < self._epoch(command):
                raise errors.Conflict(f"{command} comes from a former owner of its operation")
            if command in self._answers:
                self._store(command, replace(self._answers[command], epoch=epoch))
                return False
            known = command in self._accepted
            if not known or epoch > self._accepted[command]:
                files.write(self._accepted_in / command, message, mode=0o600)
                self._accepted[command] = epoch
            return not known

    def resume(self, command: str, epoch: int) -> None:
        """Note that a command of an earlier life is in hand again."""
        with self._lock:
            self._accepted[command] = epoch

    def begin(self, command: str) -> None:
        """Note that a command begins to change something; it is on disk when this returns."""
        with self._lock:
            if command not in self._begun:
                (self._begun_in / command).touch(mode=0o600)
                files.sync_directory(self._begun_in)
                self._begun.add(command)

    def has_begun(self, command: str) -> bool:
        with self._lock:
            return command in self._begun

    def finish(self, command: str, fate: Fate, body: dict[str, Any]) -> None:
        """Keep the answer, for the broker and for whoever asks again."""
        with self._lock:
            self._count += 1
            self._store(command, Answer(self._epoch(command), fate, body, self._count))

    def forestall(self, command: str) -> None:
        """Never run this command: it is answered so if it comes, and nobody is told before."""
        with self._lock:
            self._count += 1
            body = failure("Conflict", "the command was cancelled before it ran")
            answer = Answer(self._epoch(command), Fate.NEVER_RAN, body, self._count)
            self._answers[command] = answer
            _write_answer(self._sent_in / command, answer)
            self._drop_accepted(command)

    def answer(self, command: str) -> Answer | None:
        with self._lock:
            return self._answers.get(command)

    def send_again(self, command: str) -> None:
        """Let the answer, which there is, go to the broker once more."""
        with self._lock:
            self._unsent[command] = self._answers[command]

    def unsent(self) -> list[tuple[str, Answer]]:
        """Return the answers that the broker does not have, oldest first."""
        with self._lock:
            return sorted(self._unsent.items(), key=lambda item: item[1].order)

    def sent(self, command: str, answer: Answer) -> None:
        """Note that the broker has this answer; losing the note only sends it again."""
        with self._lock:
            if self._unsent.get(command) is not answer:
                return  # it was asked for again meanwhile
            del self._unsent[command]
            path = self._unsent_in / command
            if path.exists():
                path.rename(self._sent_in / command)
            self._prune()

    def _epoch(self, command: str) -> int:
        mine = operation(command)
        answered = (item.epoch for name, item in self._answers.items() if operation(name) == mine)
        accepted = (epoch for name, epoch in self._accepted.items() if operation(name) == mine)
        return max((*answered, *accepted), default=0)

    def _store(self, command: str, answer: Answer) -> None:
        self._answers[command] = self._unsent[command] = answer
        try:
            _write_answer(self._unsent_in / command, answer)
            (self._sent_in / command).unlink(missing_ok=True)
            self._drop_accepted(command)
        except OSError:
            LOG.exception("the answer to %s is kept in memory only", command)

    def _drop_accepted(self, command: str) -> None:
        self._accepted.pop(command, None)
        (self._accepted_in / command).unlink(missing_ok=True)
        self._begun.discard(command)
        (self._begun_in / command).unlink(missing_ok=True)

    def _prune(self) -> None:
        surplus = len(self._answers) - self._keep
        for command in sorted(self._answers, key=lambda name: self._answers[name].order):
            if surplus <= 0:
                return
            if command not in self._unsent:
                del self._answers[command]
                (self._sent_in / command).unlink(missing_ok=True)
                surplus -= 1


def _write_answer(path: Path, answer: Answer) -> None:
    data = {
        "epoch": answer.epoch,
        "fate": answer.fate.value,
        "body": answer.body,
        "order": answer.order,
    }
    files.write(path, json.dumps(data), mode=0o600)


def _read_answers(directory: Path) -> dict[str, Answer]:
    """Return the answers that can be read: what a failing disk lost must not stop the agent."""
    answers = {}
    for path in list(directory.iterdir()):
        try:
            data = json.loads(path.read_bytes())
            answers[path.name] = Answer(
                data["epoch"], Fate(data["fate"]), data["body"], data["order"]
            )
        except (ValueError, KeyError, TypeError) as error:
            LOG.error("the answer to %s is lost: %s", path.name, error)  # noqa: TRY400
            path.unlink()
    return answers
