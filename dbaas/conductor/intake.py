"""Decides what to believe of what guests say: pure functions over a message and what is known.

A guest is an enemy. Who it is follows from the exchange that the broker let it publish to; what it
says must have been sealed under that guest's own key and fit one of three closed schemas. Nothing
in it selects a class, a path, another row, a project or a URL: even the verb that a result answers
comes from the command that was sent, not from the message.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from dbaas.catalog.records import GuestIdentity, Heartbeat, Outstanding
from dbaas.contract import codec, errors
from dbaas.contract.codec import Json
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import ArchiveReport, Failure, Health, Prepared, Progress
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header

HEARTBEAT, RESULT, LOG = "hb", "result", "log"

CAPS = {HEARTBEAT: 4 << 10, RESULT: 256 << 10, LOG: 4 << 10}
"""Bytes that the body of an event may have."""
LARGEST = CAPS[RESULT] + (2 << 10)
"""Bytes of a whole message: nothing longer can be worth opening."""
LEVELS = ("debug", "info", "warning", "error")
FAULT_CHARACTERS = 4000

_NUMBER = 1 << 63
_UPTIME = 1e10
_BYTES = 1 << 60
_COMMANDS_IN_PROGRESS = 32
_COMMAND_CHARACTERS = 120
_VERSION_CHARACTERS = 64
_STREAM_CHARACTERS = 36
_FAULT_OF_ARCHIVE = 200
_STATES = ("new", "introduced")


class Refused(errors.Invalid):
    """A message that is not believed; the text holds nothing of the guest's."""

    def __init__(self, text: str, *, stale: bool = False) -> None:
        super().__init__(text)
        self.stale = stale
        """Whether newer knowledge of the guest's keys could change the verdict."""


@dataclass(frozen=True, slots=True)
class Result:
    """An answer to a command, as the guest gave it: not typed yet."""

    command: str
    body: Json
    boot: int
    seq: int


@dataclass(frozen=True, slots=True)
class Remark:
    """A line for the conductor's own log."""

    level: str
    text: str


def hear(message: bytes, guest: GuestIdentity | None) -> Heartbeat | Result | Remark:
    """Return what the owner of the exchange says in `message`; raise `Refused`.

    `guest`: what is known of that owner, None when it has no guest.
    """
    if len(message) > LARGEST:
        raise Refused("too long")
    if guest is None:
        raise Refused("no such guest", stale=True)
    if guest.state not in _STATES:
        raise Refused(f"the guest is {guest.state}", stale=True)
    header, body = _opened(message, guest)
    if len(body) > CAPS.get(header.method, 0):
        raise Refused(f"{header.method} too long" if header.method in CAPS else "no such event")
    try:
        data = _DECODER.decode(body.decode())
        _check(data)
        return _SCHEMAS[header.method](header, data)
    except Refused:
        raise
    except (ValueError, RecursionError, errors.Invalid):
        raise Refused(f"not a {header.method}") from None


def settle(
    result: Result, sender: str, command: Outstanding | None, hide: Callable[[Secret], Json]
) -> Json:
    """Return the answer as it is stored, typed by the command's verb, secrets hidden.

    `command`: the outstanding one of that id, if any. Raises `Refused`.
    """
    if command is None:
        raise Refused("nobody waits for this answer")  # any more: it was given twice, or too late
    if command.instance_id != sender:
        raise Refused("it answers a command of another guest")
    verb = GUEST_VERBS.get(command.method)
    if verb is None:
        raise Refused("the verb is not known")
    try:
        if "error" in result.body:
            failure = codec.load(Failure, result.body["error"])
            if failure.kind not in errors.BY_NAME:
                raise Refused("the error is not known")
            return {"error": {"kind": failure.kind, "text": failure.text[:FAULT_CHARACTERS]}}
        return {"ok": codec.dump(codec.load_any(verb.gives, result.body["ok"]), hide)}
    except errors.Invalid as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"not what {verb.name} gives") from error


def tells_health(command: Outstanding) -> bool:
    """Return whether the answer to this command says how the guest is."""
    return GUEST_VERBS[command.method].gives in (Health, Prepared)


def _opened(message: bytes, guest: GuestIdentity) -> tuple[Header, bytes]:
    try:
        header = envelope.peek(message)
    except errors.Invalid:
        raise Refused("not an envelope") from None
    if header.instance != guest.instance_id:
        raise Refused("it names another instance than its exchange's")
    if header.direction != envelope.UP:
        raise Refused("wrong direction")
    try:
        return envelope.unseal(_key(header, guest), message, header)
    except errors.Forbidden:
        raise Refused("not sealed under its key", stale=True) from None


def _key(header: Header, guest: GuestIdentity) -> Secret:
    if header.key == guest.key_id:
        return guest.event_key
    # Who knows the contact key has seen the user data: it may complain, and no more.
    is_contact = header.key == envelope.CONTACT == guest.contact_key_id
    if is_contact and guest.contact_key and header.method != RESULT:
        return guest.contact_key
    raise Refused("not its key", stale=True)


def _heartbeat(header: Header, data: Json) -> Heartbeat:
    health = codec.load(Health, data)
    sizes = (health.volume_total, health.volume_used)
    if not (all(size >= 0 for size in sizes) and 0 <= health.uptime <= _UPTIME):
        raise Refused("a number is out of range")
    if not _is_plain(health.engine_version, _VERSION_CHARACTERS):
        raise Refused("not a version")
    if len(health.progress) > _COMMANDS_IN_PROGRESS or not all(
        _is_plain(command, _COMMAND_CHARACTERS) and _is_sane(progress)
        for command, progress in health.progress.items()
    ):
        raise Refused("not a progress")
    if health.archive is not None and not _is_archive(health.archive):
        raise Refused("not an archive's report")
    return Heartbeat(header.boot, header.seq, health)


def _is_archive(report: ArchiveReport) -> bool:
    counts = (report.sequence, report.pending, report.wants)
    moments = (report.since, report.until, report.lag)
    return (
        _is_plain(report.stream, _STREAM_CHARACTERS)
        and all(0 <= count <= _BYTES for count in counts)
        and all(0 <= moment <= _UPTIME for moment in moments)
        and len(report.fault) <= _FAULT_OF_ARCHIVE
    )


def _is_sane(progress: Progress) -> bool:
    sizes = (progress.done, progress.total, progress.stored, progress.wants)
    return all(0 <= size <= _BYTES for size in sizes) and 0 <= progress.rate <= _BYTES


def _result(header: Header, data: Json) -> Result:
    if not isinstance(data, dict) or data.keys() not in ({"ok"}, {"error"}):
        raise Refused("not a result")
    return Result(header.command, data, header.boot, header.seq)


def _remark(_header: Header, data: Json) -> Remark:
    remark = codec.load(Remark, data)
    if remark.level not in LEVELS:
        raise Refused("no such level")
    return remark


_SCHEMAS: dict[str, Callable[[Header, Json], Heartbeat | Result | Remark]] = {
    HEARTBEAT: _heartbeat,
    RESULT: _result,
    LOG: _remark,
}


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("JSON has no such number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _check(data: Any) -> None:
    """Raise `Refused` for numbers that are not finite or too large, and for halves of characters,
    which nothing could store."""
    kind = type(data)
    if kind is str:
        if not data.isascii():
            data.encode()
    elif kind is int or kind is float:
        if not (-_NUMBER < data < _NUMBER and math.isfinite(data)):
            raise Refused("a number is out of range")
    elif kind is dict:
        for key, value in data.items():
            _check(key)
            _check(value)
    elif kind is list:
        for value in data:
            _check(value)


def _is_plain(text: str, characters: int) -> bool:
    return len(text) <= characters and text.isascii() and (text.isprintable() or not text)
